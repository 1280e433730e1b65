/** A host with bare-metal VMs that print a dot after the other: what `gh.start` and `gh.lifecycle` start and end. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VmHost } from '../../cli/host/vm-host.js';
import type { LabVm } from '../../cli/lab/lab-host.js';
import { DOTS } from '../../test/fixtures/dots.js';

/** Guest memory of each VM, in bytes. */
export const RAM_BYTES = 64 << 20;

/** See the head of this file. */
export class HostedVms {
  readonly host: VmHost;
  readonly #folder: string;

  private constructor(host: VmHost, folder: string) {
    this.host = host;
    this.#folder = folder;
  }

  static async start(): Promise<HostedVms> {
    const host = await VmHost.start({ primaryGuest: false, onLog: () => undefined });
    if (!host.ok) throw new Error(host.error);
    const folder = mkdtempSync(join(tmpdir(), 'wurley-bench-'));
    writeFileSync(join(folder, 'dots.bin'), new Uint8Array(Uint32Array.from(DOTS).buffer));
    return new HostedVms(host.value, folder);
  }

  /**
   * Starts a VM through the VM manager and the resource manager, and waits for its first dot. Milliseconds from the call to that
   * byte on the host, which is later than the first instruction by the way through the console.
   */
  async vm(name: string): Promise<{ readonly vm: LabVm; readonly tookMs: number }> {
    const begun = performance.now();
    const started = await this.host.start({
      ...{ name, boot: { kernel: join(this.#folder, 'dots.bin'), initrd: undefined }, append: '' },
      ...{ memoryBytes: RAM_BYTES, cpus: 1, platform: 'gunyah', profile: 'P17', primary: false, console: 'pl011' },
      ...{ disks: [], rng: false, networks: [] },
    });
    if (!started.ok) throw new Error(started.error);
    await this.prints(started.value);
    return { vm: started.value, tookMs: performance.now() - begun };
  }

  /** Waits until a VM prints. */
  prints(vm: LabVm): Promise<void> {
    return new Promise((resolve) => {
      const subscription = vm.output.subscribe(() => {
        subscription.unsubscribe();
        resolve();
      });
    });
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
