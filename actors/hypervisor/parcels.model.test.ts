/**
 * Every sequence of memory operations to length 5 of three VMs on three pages, model against the real core: who owns a frame,
 * what the ledger says, and what each VM's stage-2 map has, after every step. Sequences that lead to the same state (but for
 * the names of VMs and pages) are followed once; refused operations must change nothing.
 */
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { FrameLedger } from '../shared-state/frames/frame-ledger.js';
import { FramePool } from './frame-pool.js';
import type { Transfer } from './parcel.protocol.js';
import { Parcels } from './parcels.js';
import { Partition } from './partition.js';

const test = spec('memory ownership model');
const PAGE = 4096;
const FRAMES = 192;
const BASE = 0x4000_0000;
const LENGTH = 5;
const RWX = 7;
/** What an owner keeps of what it shares, and what a borrower gets. */
const KEPT = 5;
const BORROWED = 3;
const ALL = [0, 1, 2] as const;
const PERMUTATIONS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
] as const;

interface PageState {
  readonly owner: number;
  readonly given: Transfer | undefined;
  /** Bit v: VM v has it mapped. */
  readonly holders: number;
}
type State = readonly PageState[];
type Op =
  | { readonly kind: Transfer; readonly page: number; readonly vm: number }
  | { readonly kind: 'map' | 'accept' | 'unmap'; readonly page: number; readonly vm: number }
  | { readonly kind: 'end'; readonly page: number; readonly vm: 0 };

const OPS: readonly Op[] = ALL.flatMap((page) => [
  { kind: 'end', page, vm: 0 } as const,
  ...ALL.flatMap((vm) =>
    (['lend', 'share', 'donate', 'map', 'accept', 'unmap'] as const).map((kind) => ({ kind, page, vm }) as Op),
  ),
]);

/** What the model makes of an operation; undefined: it is refused. */
function next(state: State, { kind, page, vm }: Op): State | undefined {
  const { owner, given, holders } = state[page] ?? { owner: 0, given: undefined, holders: 0 };
  const to = (change: PageState): State => state.map((old, index) => (index === page ? change : old));
  const bit = 1 << vm;
  switch (kind) {
    case 'lend':
    case 'share':
    case 'donate':
      return owner === vm && given === undefined ? to({ owner, given: kind, holders: 0 }) : undefined;
    case 'map': {
      const isFree = given !== undefined && given !== 'donate' && vm !== owner && (holders & bit) === 0;
      return isFree ? to({ owner, given, holders: holders | bit }) : undefined;
    }
    case 'accept':
      return given === 'donate' && vm !== owner ? to({ owner: vm, given: undefined, holders: 0 }) : undefined;
    case 'unmap':
      return (holders & bit) !== 0 ? to({ owner, given, holders: holders & ~bit }) : undefined;
    default:
      return given !== undefined && holders === 0 ? to({ owner, given: undefined, holders: 0 }) : undefined;
  }
}

/** The state but for names. */
function canonical(state: State): string {
  const names = PERMUTATIONS.map((vms) => {
    const renamed = ALL.map((page) => {
      const { owner, given, holders } = state[vms[page] ?? 0] ?? { owner: 0, given: undefined, holders: 0 };
      const bits = ALL.reduce<number>((sum, vm) => sum | (((holders >> (vms[vm] ?? 0)) & 1) << vm), 0);
      return `${vms.indexOf(owner as 0 | 1 | 2)}${given ?? '-'}${bits}`;
    });
    return renamed.join();
  });
  return names.sort()[0] ?? '';
}

/** The real thing: VM v has page v at the same address that every VM would have it at. */
class Real {
  readonly #ledger: FrameLedger;
  readonly #pool: FramePool;
  readonly #parcels: Parcels;
  readonly #vms: readonly Partition[];
  readonly #hosts: readonly number[];
  readonly #numbers = new Map<number, number>();
  readonly #baseline: number;

  constructor() {
    const memory = new SharedArrayBuffer(FRAMES * PAGE);
    this.#ledger = new FrameLedger(memory, 0, FRAMES);
    this.#pool = new FramePool(memory, this.#ledger, PAGE, FRAMES * PAGE);
    this.#baseline = this.#pool.freeFrames;
    this.#parcels = new Parcels(memory, this.#ledger, () => Promise.resolve(true));
    this.#vms = ALL.map((vm) => {
      const partition = new Partition(vm + 1, memory, this.#pool, () => undefined);
      assert.ok(partition.initialize().ok && partition.map(BASE + vm * PAGE, PAGE, RWX).ok);
      return partition;
    });
    this.#hosts = ALL.map((page) => (this.#entry(page, page) & ~0xfff) >>> 0);
  }

  #entry(vm: number, page: number): number {
    return this.#vms[vm]?.parts?.stage2.entry((BASE + page * PAGE) / PAGE) ?? 0;
  }

  /** Carries out an operation; whether it was done. */
  async apply({ kind, page, vm }: Op): Promise<boolean> {
    const partition = this.#vms[vm];
    assert.ok(partition !== undefined);
    if (partition === undefined) return false;
    const place = [{ ipa: BASE + page * PAGE, bytes: PAGE }];
    const number = this.#numbers.get(page) ?? 4095;
    switch (kind) {
      case 'map':
        return this.#parcels.map(number, partition, place, BORROWED).ok;
      case 'accept': {
        const accepted = this.#parcels.acceptDonation(number, partition, place, RWX).ok;
        if (accepted) this.#numbers.delete(page);
        return accepted;
      }
      case 'unmap':
        return (await this.#parcels.unmap(number, partition)).ok;
      case 'end': {
        const ended = this.#parcels.end(number, false).ok;
        if (ended) this.#numbers.delete(page);
        return ended;
      }
      default: {
        const made = await this.#parcels.create(partition, kind, place, kind === 'share' ? KEPT : 0);
        if (made.ok) this.#numbers.set(page, made.value.parcel);
        return made.ok;
      }
    }
  }

  /** What can be seen of it, in the form of {@link expected}. */
  seen(): string {
    return ALL.map((page) => {
      const host = this.#hosts[page] ?? 0;
      const { owner, state } = this.#ledger.entry(host);
      const rights = ALL.map((vm) => {
        const entry = this.#entry(vm, page);
        return entry === 0 ? 0 : (entry & ~0xfff) >>> 0 === host ? entry & 7 : 'another frame';
      });
      return `${owner - 1} ${state} ${rights}`;
    }).join('; ');
  }

  /** All VMs end: every frame is free again. */
  async close(): Promise<void> {
    for (const vm of this.#vms) {
      vm.stop();
      await this.#parcels.forget(vm);
      vm.free();
    }
    assert.is(this.#parcels.count, 0);
    assert.is(this.#pool.freeFrames, this.#baseline);
  }
}

const LEDGER = { lend: 'lent', share: 'shared', donate: 'donated' } as const;
function expected(state: State): string {
  return state
    .map(({ owner, given, holders }) => {
      const own = given === undefined ? RWX : given === 'share' ? KEPT : 0;
      const rights = ALL.map((vm) => (vm === owner ? own : (holders >> vm) & 1 ? BORROWED : 0));
      return `${owner} ${given === undefined ? 'owned' : LEDGER[given]} ${rights}`;
    })
    .join('; ');
}

test(
  'three VMs, three pages, all sequences to length five',
  async () => {
    const start: State = ALL.map((owner) => ({ owner, given: undefined, holders: 0 }));
    let level: { readonly state: State; readonly path: readonly Op[] }[] = [{ state: start, path: [] }];
    const known = new Set([canonical(start)]);
    let steps = 0;
    for (let length = 0; length < LENGTH; length++) {
      const following: typeof level = [];
      for (const { state, path } of level) {
        const allowed = OPS.filter((op) => next(state, op) !== undefined);
        // Once for all that are refused, then once for each that is done.
        for (const op of [undefined, ...allowed]) {
          const real = new Real();
          for (const before of path) assert.ok(await real.apply(before));
          assert.is(real.seen(), expected(state));
          if (op === undefined) {
            for (const refused of OPS.filter((other) => !allowed.includes(other))) {
              assert.not.ok(await real.apply(refused), `${JSON.stringify([...path, refused])} is refused`);
              steps++;
            }
            assert.is(real.seen(), expected(state), `refusals change nothing after ${JSON.stringify(path)}`);
          } else {
            const after = next(state, op) ?? state;
            assert.ok(await real.apply(op), `${JSON.stringify([...path, op])} is done`);
            assert.is(real.seen(), expected(after), JSON.stringify([...path, op]));
            steps++;
            const name = canonical(after);
            if (!known.has(name)) following.push({ state: after, path: [...path, op] });
            known.add(name);
          }
          await real.close();
        }
      }
      level = following;
    }
    assert.ok(known.size >= 290 && steps > 5_000, `${known.size} states, ${steps} steps`);
  },
  { deadlineMs: 240_000 },
);
test.run();
