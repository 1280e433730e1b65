/** Every wrong way to call `wurley run`: one sentence on standard error, nothing else, and the exit code that the README tells. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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

const USAGE = 64;
const DATA = 65;
/** Arguments, exit code, what the sentence says. */
const CASES: readonly (readonly [readonly string[], number, RegExp])[] = [
  [[], USAGE, /nothing to run: give an image name/],
  [['--colour'], USAGE, /unknown option '--colour'; "wurley --help" lists what there is/],
  [['debian:5.10'], USAGE, /there is no image "debian:5\.10"; there are debian:/],
  [['debian:6.1-cloud', '--kernel', kernel], USAGE, /give an image name or --kernel, not/],
  [['--kernel', kernel, '--firmware', kernel], DATA, /is no EFI application/],
  [['--kernel', kernel, '--root-vm'], USAGE, /--root-vm needs --platform gunyah/],
  [['--kernel', kernel, '--firmware-vars', kernel], USAGE, /--firmware-vars needs --firmware/],
  [['--firmware', kernel, '--firmware-vars', `${kernel},size=1`], USAGE, /"size=1" is not template=FILE/],
  [['--firmware', kernel, '--firmware-vars', kernel], DATA, /has 8 bytes, and a bank of the flash has 67108864/],
  [['--firmware', kernel, '--firmware-vars', folder], DATA, /firmware variables: is no regular file/],
  [['--firmware', kernel, '--firmware-vars', join(folder, 'no', 'v')], DATA, /cannot be made \(ENOENT\)/],
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
  [['--kernel', kernel, '--initrd', empty], DATA, /empty: initrd: is empty/],
  [['--kernel', kernel, '--dtb', kernel], DATA, /kernel: header: /],
  [
    ['--kernel', kernel, '--append', 'x'.repeat(3000)],
    DATA,
    /command line: bootargs: is not up to 2047 printable ASCII characters/,
  ],
  [['--kernel', kernel, '--append', 'a\nb'], DATA, /command line: bootargs: /],
  [['--kernel', kernel, '--dump-dtb', join(folder, 'no', 'such', 'folder')], DATA, /cannot be written/],
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
test('the folder goes', () => rmSync(folder, { recursive: true }));
test.run();
