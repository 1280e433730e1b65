/**
 * A host with bare-metal VMs, each of which sends a message through a queue again and again, takes it and prints a dot: what
 * `gh.start` and `gh.lifecycle` start and end. Between messages a VM is in WFI.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firstValueFrom } from 'rxjs';
import { VmHost } from '../../cli/host/vm-host.js';
import type { LabVm } from '../../cli/lab/lab-host.js';
import { guestImage } from '../../test/guests/reports.js';

/** Guest memory of each VM, in bytes. */
export const RAM_BYTES = 16 << 20;
/** Microseconds between two messages of a VM. */
const BEAT_US = 50_000;
/** A guest that prints `!` with its first three instructions, and sleeps: what it says tells when it began to run. */
const FIRST = [
  0xd2a12000, // movz x0, #0x900, lsl #16
  0x52800423, // mov w3, #'!'
  0x39000003, // strb w3, [x0]
  0xd503207f, // loop: wfi
  0x17ffffff, // b loop
] as const;
const QUEUE = { kind: 'queue', name: 'loop', depth: 8, messageBytesMax: 240 } as const;

/** See the head of this file. */
export class HostedVms {
  readonly host: VmHost;
  readonly #linked = new Set<string>();
  readonly #folder = mkdtempSync(join(tmpdir(), 'wurley-bench-'));

  private constructor(host: VmHost) {
    this.host = host;
  }

  static async start(): Promise<HostedVms> {
    const host = await VmHost.start({ primaryGuest: false, warm: 1, onLog: () => undefined });
    if (!host.ok) throw new Error(host.error);
    return new HostedVms(host.value);
  }

  /**
   * Starts a VM through the VM manager and the resource manager, and waits for its first dot. Milliseconds from the call to that
   * byte on the host: what the guest does until then (it clears its memory, sets up interrupts, sends and takes a message) included.
   */
  async vm(name: string): Promise<{ readonly vm: LabVm; readonly tookMs: number }> {
    if (!this.#linked.has(name)) {
      const declared = await this.host.link({ ...QUEUE, between: [name, name] });
      if (!declared.ok) throw new Error(declared.error);
      this.#linked.add(name);
    }
    return this.#start(name, guestImage('msgq'), `beat=${BEAT_US}`);
  }

  /** The same for a VM whose first instructions print: later than the first of them by two and the way through the console. */
  async first(name: string): Promise<{ readonly vm: LabVm; readonly tookMs: number }> {
    const image = join(this.#folder, 'first.bin');
    writeFileSync(image, new Uint8Array(Uint32Array.from(FIRST).buffer));
    return this.#start(name, image, '');
  }

  async #start(name: string, kernel: string, append: string): Promise<{ readonly vm: LabVm; readonly tookMs: number }> {
    const begun = performance.now();
    const started = await this.host.start({
      ...{ name, boot: { kernel, initrd: undefined }, append },
      ...{ memoryBytes: RAM_BYTES, cpus: 1, platform: 'gunyah', profile: 'P17', primary: false, console: 'pl011' },
      ...{ disks: [], rng: false, networks: [] },
    });
    if (!started.ok) throw new Error(started.error);
    await this.prints(started.value);
    return { vm: started.value, tookMs: performance.now() - begun };
  }

  /** Waits until a VM prints. */
  async prints(vm: LabVm): Promise<void> {
    await firstValueFrom(vm.output);
  }

  /** Ends a VM and waits until its memory is back. */
  async end(vm: LabVm): Promise<void> {
    vm.kill('the benchmark');
    await vm.ended;
  }

  async close(): Promise<void> {
    await this.host.dispose();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
