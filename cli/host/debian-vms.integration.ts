/**
 * Unmodified Debian kernels as Gunyah secondary VMs, launched by the VM manager, beside a bare-metal one: disks, entropy, virtio
 * consoles, frames over a switch; their device trees as section 7 of the interface has them, read by Debian and checked by dtc.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { guestsFolder } from '../../test/guests/reports.js';
import { spec } from '../../test/harness/spec.js';
import { READY_MARKER } from '../image/initramfs.js';
import type { LabVm, VmSpec } from '../lab/lab-host.js';
import { VmHost } from './vm-host.js';

const test = spec('debian as gunyah vms');
const MINUTE = 60_000;
/** Lines of a kernel log that mean something is wrong. */
const TROUBLE = /\b(BUG|WARNING|Oops|Call trace|Kernel panic|Firmware Bug|RCU stall|rcu_.*detected)\b/i;
const TREE_BYTES = 0x2_0000;
const LAB_GUEST = join(guestsFolder, '..', '..', 'cli', 'lab', 'guests', 'lab.elf');

const folder = mkdtempSync(join(tmpdir(), 'wurley-debian-vms-'));
const disk = join(folder, 'disk.img');
writeFileSync(disk, Buffer.concat([Buffer.from('written by the host\n'), Buffer.alloc(1 << 20)]));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

function vmSpec(name: string): VmSpec {
  return {
    ...{ name, boot: { image: 'debian:6.1-cloud' }, append: 'quiet wurley_plain=1', memoryBytes: 192 << 20, cpus: 1 },
    ...{ platform: 'gunyah', profile: 'P17', primary: false, console: 'virtio', rng: true },
    disks: [{ file: disk, readOnly: true, snapshot: false }],
    networks: [{ kind: 'switch', switchName: 'lan' }],
  };
}

/** One of the lab's bare-metal guests; the primary makes a third, "echo", from memory that it lends it. */
function bareSpec(name: string, primary: boolean): VmSpec {
  const boot = { kernel: LAB_GUEST, initrd: undefined };
  const append = primary ? '' : 'seconds=1';
  return {
    ...vmSpec(name),
    boot,
    append,
    memoryBytes: 64 << 20,
    primary,
    console: 'pl011',
    rng: false,
    disks: [],
    networks: [],
  };
}

/** What a VM prints until it ends. */
async function wholeOutput(vm: LabVm): Promise<string> {
  let text = '';
  vm.output.subscribe((bytes) => (text += Buffer.from(bytes).toString('latin1')));
  await vm.ended;
  return text;
}

/** A Debian VM at its shell: what it prints, and commands for it. */
class Shell {
  readonly vm: LabVm;
  text = '';
  #from = 0;

  constructor(vm: LabVm) {
    this.vm = vm;
    vm.output.subscribe((bytes) => (this.text += Buffer.from(bytes).toString('latin1').replaceAll('\r', '')));
  }

  async until(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = pattern.exec(this.text.slice(this.#from));
      if (found !== null) {
        this.#from += found.index + found[0].length;
        return found[0];
      }
      if (this.vm.state === 'ended') throw new Error(`${this.vm.name} has ended: ${this.text}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Runs a command; what it prints. */
  async run(command: string): Promise<string> {
    const mark = `done-${this.text.length}`;
    const at = this.#from;
    const line = Buffer.from(`${command}; echo ${mark.slice(0, 2)}''${mark.slice(2)}\n`);
    for (let taken = 0; taken < line.length; ) taken += this.vm.type(line.subarray(taken));
    await this.until(new RegExp(`${mark}\n`));
    return this.text.slice(at, this.#from - mark.length - 1);
  }
}

async function start(host: VmHost, wanted: VmSpec): Promise<LabVm> {
  const started = await host.start(wanted);
  if (!started.ok) throw new Error(started.error);
  return started.value;
}

test(
  'two Debian VMs with disk, console, entropy and a card on one switch beside bare-metal ones that exchange messages',
  async () => {
    const opened = await VmHost.start({ primaryGuest: true, codeCacheFolder: folder, onLog: () => undefined });
    if (!opened.ok) throw new Error(opened.error);
    const host = opened.value;
    try {
      const none = host.resources();
      const link = { kind: 'queue', name: 'pair', between: ['one', 'two'], depth: 8, messageBytesMax: 240 } as const;
      assert.ok((await host.link(link)).ok);
      const shells = [new Shell(await start(host, vmSpec('one'))), new Shell(await start(host, vmSpec('two')))];
      const chat = {
        kind: 'queue',
        name: 'chat',
        between: ['primary', 'client'],
        depth: 8,
        messageBytesMax: 240,
      } as const;
      assert.ok((await host.link(chat)).ok);
      const bare = [await start(host, bareSpec('primary', true)), await start(host, bareSpec('client', false))];
      const told = bare.map(wholeOutput);
      const [one, two] = shells;
      if (one === undefined || two === undefined) return;
      for (const [index, shell] of shells.entries()) {
        await shell.until(new RegExp(`${READY_MARKER}\n`));
        await shell.run(`ip link set eth0 up; ip addr add 10.9.0.${index + 1}/24 dev eth0`);
        assert.match(await shell.run('head -n 1 /dev/vda'), /written by the host/);
        assert.match(await shell.run('cat /sys/class/misc/hw_random/rng_current'), /virtio_rng/);
        const log = (await shell.run('dmesg')).split('\n').filter((line) => TROUBLE.test(line));
        assert.equal(log, []);
        assert.match(await shell.run('tr "\\0" " " < /proc/device-tree/hypervisor/compatible'), /^gunyah-hypervisor /m);
        const nodes = await shell.run('ls -1 /proc/device-tree/hypervisor');
        assert.match(nodes, /^pair@/m);
        assert.match(nodes, /^rm-rpc@/m);
        assert.match(nodes, /^qcom,gunyah-vm$/m);
        checkTree(await shell.run(`head -c ${TREE_BYTES} /sys/firmware/fdt | base64`));
      }
      assert.match(await one.run('ping -c 2 -W 30 10.9.0.2'), /2 packets received/);
      assert.match(await two.run('ping -c 2 -W 30 10.9.0.1'), /2 packets received/);
      const [primarySaid = '', clientSaid = ''] = await Promise.all(told);
      assert.match(clientSaid, /every answer right/, clientSaid);
      assert.match(primarySaid, /are mine again/, primarySaid);
      for (const { vm } of shells) assert.ok(vm.vmid >= 0x80);
      const off = Buffer.from('poweroff -f\n');
      one.vm.type(off);
      assert.equal(await one.vm.ended, { reason: 'off', detail: '' });
      assert.ok(leaveUncompiled() > 0, 'something was worth compiling');
      two.vm.kill('over');
      assert.is((await two.vm.ended).reason, 'requested');
      leaveUncompiled();
      assert.is((await host.census()).partitions, 1, "the host's own is left");
      assert.is(host.resources().files, none.files);
    } finally {
      await host.dispose();
    }
  },
  { deadlineMs: 10 * MINUTE },
);

/** Takes away what was put away to be compiled for the next VM, which nobody needs; how much there was. */
function leaveUncompiled(): number {
  const code = join(folder, 'code');
  const kept = readdirSync(code).filter((name) => /\.(todo|code)$/.test(name));
  for (const name of kept) rmSync(join(code, name), { force: true });
  return kept.length;
}

/** Names, labels and the bus are as the resource manager writes them (gunyah.md 7.2), which dtc's style checks do not like. */
const PRESCRIBED = /\((label_is_string|simple_bus_reg)\)/;

/** dtc reads a tree as Debian was given it, and finds nothing else to say of the hypervisor's nodes. */
function checkTree(base64: string): void {
  const bytes = Buffer.from(base64.replaceAll(/\s/g, ''), 'base64');
  const dtc = spawnSync('dtc', ['-I', 'dtb', '-O', 'dts', '-'], { input: bytes, encoding: 'utf8' });
  if (dtc.error !== undefined) {
    process.stdout.write('dtc is not installed: the trees are not checked\n');
    return;
  }
  assert.is(dtc.status, 0, dtc.stderr);
  assert.equal(
    dtc.stderr
      .split('\n')
      .filter((line) => /hypervisor/.test(line) && /ERROR|Warning/.test(line) && !PRESCRIBED.test(line)),
    [],
  );
}
test.run();
