/**
 * The VMs that guests made, through the resource manager or by hypercalls alone, as a host shows them: a name that no other VM
 * has, who made them, their counters, and what ends them.
 */
import { STOP } from '../../actors/shared-state/vm/vm-block.js';
import type { LabVm, VmEnd } from '../lab/lab-host.js';
import { GuestMadeVm } from './guest-made-vm.js';
import { countersOf } from './hosted-vm.js';
import type { AssembledVm } from './processor-launcher.js';

/** A VM that runs. */
export interface MadeVm extends Omit<AssembledVm, 'owner'> {
  /** What its maker calls it; it may be anything. */
  readonly called: string;
  readonly madeBy: string;
}

/** What is needed of the host. */
export interface MadeVmsParts {
  /** Names of the host's own VMs. */
  taken(): Iterable<string>;
  ring(actor: number): void;
  /** Whoever made one may have to look at it: it was ended from outside. */
  attend(): void;
  started(vm: LabVm & { readonly partition: number }): void;
  ended(vm: LabVm, partition: number, end: VmEnd): void;
}

const NAME_MAX = 24;

/** A name of the kind that VMs of a lab have. */
function plainName(called: string): string {
  const plain = called
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, '-')
    .replace(/^[^a-z]*/, '');
  return plain.slice(0, NAME_MAX) || 'vm';
}

/** See the head of this file. */
export class MadeVms {
  readonly #parts: MadeVmsParts;
  readonly #vms = new Map<number, GuestMadeVm>();

  constructor(parts: MadeVmsParts) {
    this.#parts = parts;
  }

  /** The one of partition `partition` that runs. */
  at(partition: number): GuestMadeVm | undefined {
    return this.#vms.get(partition);
  }

  /** It runs. */
  started({ called, vmid, partition, madeBy, block, processors, statistics }: MadeVm): void {
    const { taken, ring, attend } = this.#parts;
    const names = new Set([...taken(), ...[...this.#vms.values()].map(({ name }) => name)]);
    const plain = plainName(called);
    const numbered = names.has(plain) ? `${plain}-${vmid}` : plain;
    const vm = new GuestMadeVm({
      ...{ vmid, partition, block, madeBy },
      name: names.has(numbered) ? `${plain}-p${partition}` : numbered,
      stop: () => {
        block.end(STOP.requested);
        for (const index of processors()) if (block.poke(index)) ring(block.actorOf(index));
        attend();
      },
      counters: async () => (await statistics()).map(countersOf),
    });
    this.#vms.set(partition, vm);
    this.#parts.started(vm);
  }

  /** It does not run any more; its block is still there. */
  ended(partition: number): void {
    const vm = this.#vms.get(partition);
    if (vm === undefined) return;
    this.#vms.delete(partition);
    this.#parts.ended(vm, partition, vm.finish());
  }
}
