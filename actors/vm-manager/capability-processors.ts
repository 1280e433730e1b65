/** Virtual processors behind capabilities of the host VM, which its driver runs as vcpu_run does (gunyah.md 2.9). */
import { RIGHTS } from '../abi/gunyah/rights.js';
import { OBJECT_TYPE } from '../shared-state/objects/object-table.js';
import type { Ports } from '../shared-state/objects/ports.js';
import { ProxiedRun } from '../shared-state/vm/proxied-run.js';
import { type Ring, VmBlock } from '../shared-state/vm/vm-block.js';
import { heldObject } from './held-capability.js';
import type { Processor } from './manager-host.js';

/** Who runs the processors. */
interface Runner {
  /** The actor that is rung when a run has ended, or a parked processor has something to do. */
  readonly self: number;
  readonly ring: Ring;
}

const NEEDED = RIGHTS.thread.affinity | RIGHTS.thread.yieldTo;

/** The processor of `capability` in the space at byte `space`, if it may be run with; undefined also while it has no thread. */
export function processorBehind(
  memory: ArrayBufferLike,
  space: number,
  ports: Ports,
  capability: bigint,
  { self, ring }: Runner,
): Processor | undefined {
  const held = heldObject(memory, space, ports, capability, OBJECT_TYPE.thread, NEEDED);
  if (held === undefined) return undefined;
  const { object } = held;
  const at = ports.objects.data(object);
  if (at === 0) return undefined;
  const block = new VmBlock(memory, at);
  const cpu = ports.objects.aux(object);
  const run = new ProxiedRun(memory, block, cpu);
  const poke = (): void => {
    if (block.poke(cpu)) ring(block.actorOf(cpu));
  };
  return {
    get isProxied() {
      return run.isProxied;
    },
    begin(resume0, resume1) {
      run.waiter = self;
      if (!run.begin(self, resume0, resume1)) return false;
      poke();
      return true;
    },
    take: () => run.take(),
    get hasAttention() {
      return run.hasAttention;
    },
    recall() {
      run.recall();
      poke();
    },
  };
}
