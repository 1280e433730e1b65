/** The core's handlers of proxied.protocol.ts. */
import { err, ok, type Result } from '../../bus/result.js';
import type { BodyOf, ErrorsOf, ReplyOf } from '../runtime/protocol.js';
import { AFFINITY } from '../shared-state/scheduler/run-tokens.js';
import type { ProxiedRun } from '../shared-state/vm/proxied-run.js';
import type { PartitionFault } from './partition.protocol.js';
import type { PortState } from './port-verbs.js';
import type { ProxiedExit, ProxiedVerbs } from './proxied.protocol.js';

/** Runs of the core's own that have not ended, by slot; looked through whenever a processor rings. */
export class ProxiedRuns {
  readonly #waiting: { readonly run: ProxiedRun; readonly look: () => boolean }[] = [];

  /** Resolves with what `look` answers first. It is asked now, and whenever {@link rang}. */
  wait<T>(run: ProxiedRun, look: () => T | undefined): Promise<T> {
    return new Promise((resolve) => {
      const isOver = (): boolean => {
        const found = look();
        if (found !== undefined) resolve(found);
        return found !== undefined;
      };
      if (!isOver()) this.#waiting.push({ run, look: isOver });
    });
  }

  /** Somebody rang. */
  rang(): void {
    for (const entry of [...this.#waiting]) {
      if (entry.look()) this.#waiting.splice(this.#waiting.indexOf(entry), 1);
    }
  }
}

interface Parts {
  readonly run: ProxiedRun;
  /** Wakes the processor's thread. */
  poke(): void;
  isGone(): boolean;
}

function find(state: PortState, partition: number, index: number): Result<Parts, PartitionFault> {
  const found = state.partitions.get(partition);
  if (found === undefined) return err('noPartition');
  const parts = found.processor(index);
  if (!parts.ok) return parts;
  const thread = state.ports.existing()?.of(partition)?.threads[index];
  const run = thread === undefined ? undefined : state.ports.existing()?.objects.proxiedRun(thread);
  if (run === undefined) return err('badState');
  const { wake } = parts.value;
  return ok({ run, poke: () => wake(index), isGone: () => !state.partitions.has(partition) || found.isOver });
}

const text = (value: bigint): string => `0x${value.toString(16)}`;
const POWERED_OFF_FOR_GOOD: ProxiedExit = { state: 2, data: ['0x1', '0x0', '0x0'] };
const VALUE = /^0x[0-9a-f]{1,16}$/i;

/** What the handlers need of the core's state. */
export interface ProxiedState extends PortState {
  readonly proxied: ProxiedRuns;
  /** The core's own actor, which processors ring. */
  readonly self: number;
}
type ProxiedHandlers = {
  readonly [K in keyof ProxiedVerbs]: (
    state: ProxiedState,
    body: BodyOf<ProxiedVerbs, K>,
  ) =>
    | Result<ReplyOf<ProxiedVerbs, K>, ErrorsOf<ProxiedVerbs, K>>
    | Promise<Result<ReplyOf<ProxiedVerbs, K>, ErrorsOf<ProxiedVerbs, K>>>;
};

/** The handlers; part of the core's declaration. */
export const proxiedVerbs: ProxiedHandlers = {
  proxyVp(state, { partition, index, proxied }) {
    const found = find(state, partition, index);
    if (!found.ok) return found;
    found.value.run.setProxied(proxied);
    found.value.run.waiter = proxied ? state.self : 0;
    found.value.poke();
    return ok();
  },
  async runVpProxied(state, { partition, index, resume0, resume1 }) {
    const found = find(state, partition, index);
    if (!found.ok) return found;
    const { run, poke, isGone } = found.value;
    const action = resume1 ?? 0;
    if ((resume0 !== undefined && !VALUE.test(resume0)) || !Number.isInteger(action) || action < 0 || action > 2) {
      return err('badArgument');
    }
    if (!run.isProxied || !run.begin(state.self, BigInt(resume0 ?? 0), action)) return err('busy');
    poke();
    return ok(
      await state.proxied.wait(run, () => {
        const exit = run.take();
        if (exit === undefined) return isGone() ? POWERED_OFF_FOR_GOOD : undefined;
        const [first, second, third] = exit.data;
        return { state: exit.state, data: [text(first), text(second), text(third)] };
      }),
    );
  },
  recallVpProxied(state, { partition, index }) {
    const found = find(state, partition, index);
    if (!found.ok) return found;
    found.value.run.recall();
    found.value.poke();
    return ok();
  },
  async awaitVpProxied(state, { partition, index }) {
    const found = find(state, partition, index);
    if (!found.ok) return found;
    const { run, isGone } = found.value;
    if (!run.isProxied) return err('busy');
    run.waiter = state.self;
    await state.proxied.wait(run, () => (run.hasAttention || isGone() ? true : undefined));
    return ok();
  },
  scheduleVp(state, { partition, index, priority, timesliceNs, affinity }) {
    const found = find(state, partition, index);
    if (!found.ok) return found;
    const core = state.ports.existing();
    const thread = core?.of(partition)?.threads[index];
    if (core === undefined || thread === undefined) return err('badState');
    const isIn = (value: number | undefined, min: number, max: number): boolean =>
      value === undefined || (Number.isInteger(value) && value >= min && value <= max);
    const isFixed = affinity !== undefined && affinity !== 'any';
    if (!isIn(priority, 0, 63) || !isIn(timesliceNs, 100_000, 100_000_000)) return err('badArgument');
    if (isFixed && !isIn(affinity, 0, AFFINITY.none)) return err('badArgument');
    core.schedule(thread, {
      ...(priority === undefined ? {} : { priority }),
      ...(timesliceNs === undefined ? {} : { timesliceNs: BigInt(timesliceNs) }),
      ...(affinity === undefined ? {} : { affinity: affinity === 'any' ? AFFINITY.any : affinity }),
    });
    return ok();
  },
  setVmmioRange(state, { partition, base, bytes, remove }) {
    const addrspace = state.ports.existing()?.of(partition)?.addrspace;
    if (!state.partitions.has(partition)) return err('noPartition');
    if (addrspace === undefined) return err('badState');
    const isWhole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0 && value % 4096 === 0;
    if (!isWhole(base) || !isWhole(bytes) || bytes === 0) return err('badArgument');
    const memory = state.ports.existing()?.memory;
    const change = remove === true ? memory?.removeVmmio : memory?.addVmmio;
    return change?.call(memory, addrspace, BigInt(base), BigInt(bytes)) ?? err('badState');
  },
};
