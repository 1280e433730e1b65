/**
 * Boots a BootPlan in qemu-system-aarch64 without any of QEMU's own boot code: each placement is loaded where the plan
 * wants it, and a stub of 14 instructions does what our vCPU start does (registers, jump). QEMU always puts its own
 * device tree at the start of RAM, so the stub copies what belongs there from a spare place first.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BootPlan } from '../../devices/machine/boot-plan.js';
import { MEMORY_MAP } from '../../devices/machine/memory-map.js';

const QEMU = 'qemu-system-aarch64';

/** Whether QEMU can be started here. */
export const hasQemuSystem = spawnSync(QEMU, ['--version']).status === 0;

/** How a boot ended. */
export interface QemuBoot {
  /** Everything the guest printed on its console. */
  readonly output: string;
  /** Milliseconds from start to the marker, or `undefined` when it never came. */
  readonly markerMs: number | undefined;
  /** Whether QEMU ended by itself (the guest switched off) rather than by the deadline. */
  readonly ended: boolean;
}

/**
 * ldr x0..x2 from the first three literals; copy 8 bytes at a time from x1 to x0 until x2; x0 = literal 5, x1 to x3 = 0;
 * branch to literal 4. Literals: copy target, copy source, end of target, entry, device tree.
 */
const STUB = [
  0x580001c0, 0x580001e1, 0x58000202, 0xf8408423, 0xf8008403, 0xeb02001f, 0x54ffffa3, 0x580001e0, 0xaa1f03e1,
  0xaa1f03e2, 0xaa1f03e3, 0x58000124, 0xd61f0080, 0xd503201f,
];

function stubBytes(literals: readonly number[]): Uint8Array {
  const out = new Uint8Array(STUB.length * 4 + literals.length * 8);
  const view = new DataView(out.buffer);
  STUB.forEach((word, index) => {
    view.setUint32(index * 4, word, true);
  });
  literals.forEach((literal, index) => {
    view.setBigUint64(STUB.length * 4 + index * 8, BigInt(literal), true);
  });
  return out;
}

/** QEMU's own device tree takes this much from the start of RAM. */
const QEMU_TREE_BYTES = 1024 * 1024;

/** What the plan puts where QEMU's tree is, as one block from the start of RAM. */
function lowBlock(plan: BootPlan): Uint8Array {
  const block = new Uint8Array(QEMU_TREE_BYTES);
  for (const { ipa, bytes } of plan.placements) {
    const at = ipa - MEMORY_MAP.ramBase;
    if (at >= 0 && at < QEMU_TREE_BYTES) block.set(bytes, at);
  }
  return block;
}

/** What to watch for and send. */
export interface QemuBootOptions {
  readonly cpus: number;
  readonly memoryMib: number;
  readonly marker: string;
  readonly deadlineMs: number;
  /** Typed once the marker was seen; without it QEMU is stopped at the marker. */
  readonly input?: string;
  readonly extraArguments?: readonly string[];
}

/** Runs `plan`; resolves when QEMU has ended, at the marker (without `input`), or at the deadline. */
export function bootInQemu(plan: BootPlan, options: QemuBootOptions): Promise<QemuBoot> {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-qemu-'));
  const top = MEMORY_MAP.ramBase + options.memoryMib * 1024 * 1024;
  const spare = top - 4 * 1024 * 1024;
  const stubAt = top - 1024 * 1024;
  const loads: string[] = [];
  const load = (name: string, bytes: Uint8Array, at: number, cpu = ''): void => {
    const file = join(folder, name);
    writeFileSync(file, bytes);
    loads.push('-device', `loader,file=${file},addr=0x${at.toString(16)},force-raw=on${cpu}`);
  };
  plan.placements.forEach(({ ipa, bytes }, index) => {
    if (ipa < MEMORY_MAP.ramBase || ipa >= MEMORY_MAP.ramBase + QEMU_TREE_BYTES) load(`part${index}`, bytes, ipa);
  });
  load('low', lowBlock(plan), spare);
  const lowEnd = MEMORY_MAP.ramBase + QEMU_TREE_BYTES;
  const literals = [MEMORY_MAP.ramBase, spare, lowEnd, plan.entry, Number(plan.registers[0])];
  load('stub', stubBytes(literals), stubAt, ',cpu-num=0');

  const args = ['-M', 'virt,gic-version=3,its=off', '-cpu', 'cortex-a57', '-smp', `${options.cpus}`];
  args.push('-m', `${options.memoryMib}`, '-display', 'none', '-serial', 'stdio', '-monitor', 'none', '-net', 'none');
  args.push('-no-reboot', ...loads, ...(options.extraArguments ?? []));
  return new Promise((resolve) => {
    const started = performance.now();
    const child = spawn(QEMU, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    let markerMs: number | undefined;
    let expired = false;
    const take = (chunk: Buffer): void => {
      output += chunk.toString('latin1');
      if (markerMs !== undefined || !output.includes(options.marker)) return;
      markerMs = performance.now() - started;
      if (options.input === undefined) child.kill('SIGKILL');
      else child.stdin.write(options.input);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const timer = setTimeout(() => {
      expired = true;
      child.kill('SIGKILL');
    }, options.deadlineMs);
    child.on('close', () => {
      clearTimeout(timer);
      rmSync(folder, { recursive: true });
      resolve({ output, markerMs, ended: !expired && (options.input !== undefined || markerMs === undefined) });
    });
  });
}
