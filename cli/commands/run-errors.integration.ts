/** Every wrong way to call `wurley run`: one sentence on standard error, nothing else, and the exit code that the README tells. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';

const test = spec('errors of wurley run');
const MAIN = join(dirname(fileURLToPath(import.meta.url)), '..', 'main.js');
const folder = mkdtempSync(join(tmpdir(), 'wurley-errors-'));
const kernel = join(folder, 'kernel');
const empty = join(folder, 'empty');
writeFileSync(kernel, Buffer.from([0x7f, 0x20, 0x03, 0xd5, 0xff, 0xff, 0xff, 0x17])); // wfi; b .-4
writeFileSync(empty, '');
const prose = join(folder, 'prose');
writeFileSync(prose, 'What is written here is no program.\n'.repeat(100));

const USAGE = 64;
const DATA = 65;
const BUSY = 75;
const TIMEOUT = 124;
/** Somebody else listens there. */
const occupied = createServer();
await new Promise<void>((resolve) => occupied.listen(0, '127.0.0.1', resolve));
const { port } = occupied.address() as AddressInfo;
const NET = ['--kernel', kernel, '--net', 'user'];
/** Arguments, exit code, what the sentence says. */
const CASES: readonly (readonly [readonly string[], number, RegExp])[] = [
  [[], USAGE, /nothing to run: give an image name/],
  [['--colour'], USAGE, /unknown option '--colour'; "wurley run --help" lists what there is/],
  [['debian:5.10'], USAGE, /there is no image "debian:5\.10"; there are debian:/],
  [['debian:6.1-cloud', '--kernel', kernel], USAGE, /give an image name or --kernel, not/],
  [['--kernel', kernel, '--firmware', kernel], DATA, /is no EFI application/],
  [['--kernel', kernel, '--acpi', '--platform', 'gunyah'], USAGE, /--acpi does not go with --platform gunyah/],
  [['--kernel', kernel, '--root-vm'], USAGE, /--root-vm needs --platform gunyah/],
  [['--kernel', kernel, '--firmware-vars', kernel], USAGE, /--firmware-vars needs --firmware/],
  [['--firmware', kernel, '--firmware-vars', `${kernel},size=1`], USAGE, /"size=1" is not template=FILE/],
  [['--firmware', kernel, '--firmware-vars', kernel], DATA, /has 8 bytes, and a bank of the flash has 67108864/],
  [['--firmware', kernel, '--firmware-vars', folder], DATA, /firmware variables: is no regular file/],
  [
    ['--firmware', kernel, '--firmware-vars', join(folder, 'no', 'v')],
    DATA,
    /cannot be made: there is no such file or folder \(ENOENT\); give/,
  ],
  [
    ['--firmware', kernel, '--firmware-vars', `${join(folder, 'new')},template=${kernel}`],
    DATA,
    /template of firmware variables: has 8 bytes/,
  ],
  [['--kernel'], USAGE, /argument missing/],
  ...['0', '9', '1.5', 'two', ''].map(
    (cpus) => [['--kernel', kernel, '--cpus', cpus], USAGE, /--cpus takes a whole number from 1 to 8/] as const,
  ),
  ...['63M', '65M', '4G', '1e9', '-1', 'lots', ''].map(
    (memory) => [['--kernel', kernel, '--memory', memory], USAGE, /--memory takes 4M to 3G in steps of 2M/] as const,
  ),
  ...['0', '-3', 'soon'].map(
    (timeout) =>
      [['--kernel', kernel, '--timeout', timeout], USAGE, /--timeout takes a number of seconds above 0/] as const,
  ),
  [['--kernel', kernel, '--platform', 'kvm'], USAGE, /--platform takes virt, gunyah, hyperv, not "kvm"/],
  [['--kernel', kernel, '--platform', 'hyperv'], USAGE, /--platform hyperv is not available yet/],
  [['--kernel', kernel, '--console', 'vga'], USAGE, /--console takes pl011 or virtio/],
  [['--kernel', kernel, '--balloon', 'all'], USAGE, /--balloon takes SIZE\[,deflate-on-oom\], such as 0 or 128M/],
  [['--kernel', kernel, '--balloon', '500M'], USAGE, /of --memory 512M the guest keeps 32M at least/],
  [['--kernel', join(folder, 'none')], DATA, /none: kernel: there is no such file; give another path/],
  [['--kernel', folder], DATA, /: kernel: is a folder, not a file; give another file/],
  [['--kernel', '/dev/zero'], DATA, /\/dev\/zero: kernel: is a device, not a file/],
  [['--kernel', empty], DATA, /empty: kernel: is empty; give another file/],
  [['--kernel', prose, '--timeout', '10'], TIMEOUT, /cpu 0 takes the same exception for ever at its own vector 0x200/],
  [['--kernel', kernel, '--initrd', empty], DATA, /empty: initrd: is empty/],
  [['--kernel', kernel, '--dtb', kernel], DATA, /kernel: header: /],
  [
    ['--kernel', kernel, '--append', 'x'.repeat(3000)],
    DATA,
    /command line: bootargs: is not up to 2047 printable ASCII characters/,
  ],
  [['--kernel', kernel, '--append', 'a\nb'], DATA, /command line: bootargs: /],
  [[...NET, '--publish', `${port}`], USAGE, /--publish takes \[ADDRESS:\]HOSTPORT:GUESTPORT/],
  [[...NET, '--publish', '9:22', '--publish', '9:23'], USAGE, /--publish: port 9 of this host is given twice/],
  [
    [...NET, '--publish', `${port}:22`],
    BUSY,
    new RegExp(`127\\.0\\.0\\.1:${port}/tcp cannot be published: something has it already \\(EADDRINUSE\\)`),
  ],
  [
    ['--kernel', kernel, '--gdb', `${port}`],
    BUSY,
    new RegExp(`--gdb: 127\\.0\\.0\\.1:${port} cannot be listened at: something has it already`),
  ],
  [
    ['--kernel', kernel, '--vsock', join(folder, 'no', 'socket')],
    BUSY,
    /no\/socket cannot be listened at: its folder is not there \(ENOENT\)/,
  ],
  [['--kernel', kernel, '--disk', join(folder, 'none')], DATA, /none: disk: there is no such file; qemu-img create/],
  [['--kernel', kernel, '--disk', folder], DATA, /disk: is no regular file/],
  [['--kernel', kernel, '--disk', `${empty},format=qcow2`], DATA, /empty: /],
  [['--kernel', kernel, '--disk', `${empty},rw`], USAGE, /"rw" is none of ro, format=raw/],
  [['--kernel', kernel, '--snapshot-disk'], USAGE, /--snapshot-disk needs a --disk/],
  [
    ['--kernel', kernel, '--share', join(folder, 'none')],
    DATA,
    /cannot be opened as a folder: there is no such file or folder \(ENOENT\)/,
  ],
  [['--kernel', kernel, '--share', `${folder},wo`], USAGE, /"wo" is none of rw, ro, tag=NAME/],
  [['--kernel', kernel, '--net', 'lan'], USAGE, /--net takes user, switch:NAME/],
  [['--kernel', kernel, '--pcap', 'x'], USAGE, /--pcap needs --net/],
  [
    [...NET, '--pcap', join(folder, 'no', 'x')],
    DATA,
    /--pcap: .* cannot be written: there is no such file or folder \(ENOENT\)/,
  ],
  [['--kernel', kernel, '--gdb', '65536'], USAGE, /--gdb takes PORT or PORT,wait/],
  [
    ['--kernel', kernel, '--dump-dtb', join(folder, 'no', 'such', 'folder')],
    DATA,
    /cannot be written: there is no such file or folder/,
  ],
];

test(
  `${CASES.length} wrong command lines`,
  () => {
    for (const [args, exitCode, sentence] of CASES) {
      const run = spawnSync(
        process.execPath,
        [
          MAIN,
          'run',
          ...args,
          ...(args.includes('--timeout') || args.at(-1) === '--kernel' ? [] : ['--timeout', '30']),
        ],
        {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      );
      const what = args.join(' ').slice(0, 200);
      assert.match(run.stderr, /^wurley: [^\n]+\.\n$/, what);
      assert.match(run.stderr, sentence);
      assert.is(run.status, exitCode, what);
      assert.is(run.stdout, '', what);
    }
  },
  { deadlineMs: 600_000 },
);
test(
  'what can be done is done: the device tree is written, a timeout ends with 124',
  () => {
    const tree = join(folder, 'tree.dtb');
    assert.is(spawnSync(process.execPath, [MAIN, 'run', '--kernel', kernel, '--dump-dtb', tree]).status, 0);
    const again = spawnSync(process.execPath, [MAIN, 'run', '--kernel', kernel, '--dtb', tree, '--timeout', '1']);
    assert.is(again.status, 124, again.stderr.toString());
  },
  { deadlineMs: 120_000 },
);
test('the folder goes', () => {
  occupied.close();
  rmSync(folder, { recursive: true });
});
test.run();
