/**
 * The generated doorbell calls and the edges they cause against the doorbell and the ports in JavaScript: the same random calls on two
 * bells, each bound to an interrupt of a controller of its own, must give the same answers, flags, pending interrupts and wake-ups.
 */
import fc from 'fast-check';
import { equal, is, ok as truthy } from 'uvu/assert';
import { DoorbellState, formatDoorbell } from '../../bus/doorbell/doorbell.js';
import { STATE } from '../../cpu/state.js';
import { spec } from '../../test/harness/spec.js';
import { RIGHTS } from '../abi/gunyah/rights.js';
import {
  CAPABILITY_SLOT,
  CapabilitySpace,
  capabilitySpaceBytes,
} from '../shared-state/capabilities/capability-space.js';
import { Gic, SPURIOUS } from '../shared-state/gic/gic.js';
import { GicCpuInterface } from '../shared-state/gic/gic-cpu-interface.js';
import { GicRegisters } from '../shared-state/gic/gic-mmio.js';
import { ObjectTable, SOURCE } from '../shared-state/objects/object-table.js';
import { Ports } from '../shared-state/objects/ports.js';
import { VmBlock, waker } from '../shared-state/vm/vm-block.js';
import { queueCallsCode } from './queue-calls-code.js';

const test = spec('doorbell calls code');
const [STATE_AT, SPACE_AT, BELLS_AT, TABLE_AT, GICS_AT, BLOCKS_AT] = [
  0x1000, 0x3000, 0x8000, 0x10000, 0x60000, 0x80000,
];
const OWNER = 77;
const SLOTS = 8;
const CPUS = 2;
const INTERRUPT = 40;
/** Objects: bell and controller of the code's side, then of the twin's. */
const [BELL, VIC, TWIN_BELL, TWIN_VIC] = [5, 6, 7, 8];

function world() {
  const memory = new WebAssembly.Memory({ initial: 16, maximum: 65536, shared: true });
  // WHY: the type of WebAssembly.Memory.buffer does not say that it is shared.
  const buffer = memory.buffer as unknown as SharedArrayBuffer;
  const view = new DataView(buffer);
  const table = new ObjectTable(buffer, TABLE_AT);
  const rung: string[] = [];
  const sides = [
    { bell: BELL, vic: VIC, at: 0 },
    { bell: TWIN_BELL, vic: TWIN_VIC, at: 1 },
  ].map(({ bell, vic, at }) => {
    const bellAt = BELLS_AT + at * DoorbellState.sizeBytes;
    truthy(formatDoorbell({ buffer, byteOffset: bellAt }).ok);
    const block = new VmBlock(buffer, BLOCKS_AT + at * 0x8000);
    block.format(CPUS);
    for (let cpu = 0; cpu < CPUS; cpu++) block.bindActor(cpu, 100 + cpu);
    const gicAt = GICS_AT + at * 0x10000;
    const gic = new Gic(
      buffer,
      gicAt,
      waker(block, (actor) => void rung.push(`ring ${actor}`)),
    );
    gic.reset([0, 1]);
    gic.setBlock(block.at);
    table.create(bell, 'doorbell', 0);
    table.setData(bell, bellAt);
    table.setState(bell, 'active');
    table.create(vic, 'vic', 0);
    table.setData(vic, gicAt, block.at);
    table.setState(vic, 'active');
    table.bind(bell, SOURCE.first, { to: 'interrupt', vic, virq: INTERRUPT });
    const icc = Array.from({ length: CPUS }, (_, cpu) => new GicCpuInterface(gic, cpu));
    return { bellAt, block, gic, gicAt, icc, registers: new GicRegisters(gic) };
  });
  const [ours, twin] = [sides[0]!, sides[1]!];
  truthy(capabilitySpaceBytes(SLOTS) < BELLS_AT - SPACE_AT);
  const space = CapabilitySpace.create(buffer, SPACE_AT, SLOTS, table);
  space.insert(BELL, RIGHTS.doorbell.send);
  space.insert(BELL, RIGHTS.doorbell.receive);
  view.setInt32(STATE_AT + STATE.el, 1, true);
  const ring = (actor: number): void => void rung.push(`ring ${actor}`);
  const ports = new Ports(buffer, table, 1, ring);
  const log: string[] = [];
  const call = queueCallsCode(
    memory,
    { state: STATE_AT, table: TABLE_AT, slotsAt: SPACE_AT + CAPABILITY_SLOT.first, slots: SLOTS, owner: OWNER },
    {
      other: () => {
        log.push('other');
        return 1;
      },
      edge(object, source) {
        log.push('edge');
        is(source, SOURCE.first);
        ports.assert(object, SOURCE.first, true);
      },
      ring(actor) {
        // Who is woken may run at once, in place of the one that rings, and want the lock.
        is(view.getInt32(ours.bellAt + DoorbellState.offsets.lock, true), 0);
        ring(actor);
      },
      unpark: () => void log.push('unpark'),
      wakeNext: () => void log.push('wake'),
    },
  );
  const hvc = (n: number, ...args: readonly bigint[]): number => {
    view.setBigUint64(STATE_AT + STATE.exitInfo, BigInt(0x6000 + n), true);
    args.forEach((value, index) => {
      view.setBigUint64(STATE_AT + index * 8, value, true);
    });
    return call(STATE_AT);
  };
  const x = (n: number): bigint => view.getBigUint64(STATE_AT + n * 8, true);
  const flags = (at: number): bigint => view.getBigUint64(at + DoorbellState.offsets.flagsLow, true);
  return { view, table, space, ports, ours, twin, sides, rung, log, hvc, x, flags };
}

const flags = fc.oneof(fc.constantFrom(0n, 1n, 1n << 63n), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }));
const act = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('send' as const), flags }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('receive' as const), flags }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('take' as const), cpu: fc.integer({ min: 0, max: 1 }) }) },
  fc.record({ do: fc.constant('mask' as const), enable: flags, acknowledge: fc.constantFrom(0n, 1n, 1n << 63n) }),
  fc.record({ do: fc.constant('clear' as const) }),
  fc.record({ do: fc.constant('route' as const), to: fc.constantFrom(0n, 1n, 1n << 31n, 7n) }),
  fc.record({ do: fc.constant('edge' as const), isEdge: fc.boolean() }),
  fc.record({ do: fc.constant('sleep' as const), cpu: fc.integer({ min: 0, max: 1 }), sleeps: fc.boolean() }),
  fc.record({ do: fc.constant('post' as const) }),
);

test('answers, flags, interrupts and wake-ups are those of the doorbell', () => {
  let quick = 0;
  fc.assert(
    fc.property(fc.array(act, { minLength: 10, maxLength: 80 }), (acts) => {
      const w = world();
      const bell = w.ports.doorbell(TWIN_BELL);
      const mine = w.ports.doorbell(BELL);
      for (const { registers, icc, gic } of w.sides) {
        registers.writeDistributor(0, 4, 2n);
        registers.writeDistributor(0x84, 4, 0xffff_ffffn);
        registers.writeDistributor(0x104, 4, 0xffff_ffffn);
        registers.writeDistributor(0xc08, 4, 0xaaaa_aaaan);
        for (const cpu of icc) {
          cpu.write('ICC_PMR_EL1', 0xf8n);
          cpu.write('ICC_IGRPEN1_EL1', 1n);
        }
        is(gic.interrupts, 288);
      }
      for (const step of acts) {
        w.log.length = 0;
        w.rung.length = 0;
        const both = (body: (side: (typeof w.sides)[number]) => void): void => {
          const heard = w.sides.map((side) => {
            w.rung.length = 0;
            body(side);
            return w.rung.join();
          });
          is(heard[0], heard[1]);
          w.rung.length = 0;
        };
        if (step.do === 'send' || step.do === 'receive') {
          const [low, high] = [Number(step.flags & 0xffff_ffffn) | 0, Number(step.flags >> 32n) | 0];
          const isSend = step.do === 'send';
          const before = w.flags(w.ours.bellAt);
          const answered = w.hvc(isSend ? 0x12 : 0x13, isSend ? 0n : 1n, step.flags) === 0;
          const ourRings = w.rung.splice(0).join();
          if (!answered) {
            equal(w.log, ['other']);
            is(w.flags(w.ours.bellAt), before);
            if (isSend) mine.send(low, high);
            else is(mine.receive(low, high).ok, step.flags !== 0n);
            w.rung.length = 0;
          }
          if (isSend) bell.send(low, high);
          const done = isSend || bell.receive(low, high).ok;
          if (answered) {
            is(done, true);
            if (isSend && w.log.length === 0) quick++;
            is(ourRings, w.rung.join());
            equal([w.x(0), w.x(1)], [0n, (BigInt(bell.oldHigh) << 32n) | BigInt(bell.oldLow)]);
          }
        } else if (step.do === 'take') {
          const [a, b] = w.sides.map(({ icc, block }) => {
            block.takeLook(step.cpu);
            const interrupt = icc[step.cpu]?.read('ICC_IAR1_EL1') ?? SPURIOUS;
            icc[step.cpu]?.write('ICC_EOIR1_EL1', BigInt(interrupt));
            return interrupt;
          });
          is(a, b);
        } else if (step.do === 'mask') {
          const halves = (value: bigint): [number, number] => [
            Number(value & 0xffff_ffffn) | 0,
            Number(value >> 32n) | 0,
          ];
          for (const each of [mine, bell]) each.mask(...halves(step.enable), ...halves(step.acknowledge));
        } else if (step.do === 'clear') for (const each of [BELL, TWIN_BELL]) w.ports.clear(each, SOURCE.first);
        else if (step.do === 'route')
          both(({ registers }) => registers.writeDistributor(0x6000 + INTERRUPT * 8, 8, step.to));
        else if (step.do === 'edge')
          both(({ registers }) => registers.writeDistributor(0xc08, 4, step.isEdge ? 0xaaaa_aaaan : 0n));
        else if (step.do === 'sleep') both(({ block }) => block.setSleeping(step.cpu, step.sleeps));
        else {
          // Another source has posted an edge that nobody has taken yet.
          for (const { gic, block } of w.sides) {
            gic.locked(() => {
              for (let cpu = 0; cpu < CPUS; cpu++) w.view.setInt32(block.postedAt(cpu), 33, true);
            });
          }
        }
        is(w.flags(w.ours.bellAt), w.flags(w.twin.bellAt), step.do);
        for (let cpu = 0; cpu < CPUS; cpu++) is(w.ours.block.mustLook(cpu), w.twin.block.mustLook(cpu), step.do);
        for (const name of ['pending', 'line'] as const) {
          const [a, b] = w.sides.map(({ gic, block }) => {
            const isPosted = [0, 1].some((cpu) => w.view.getInt32(block.postedAt(cpu), true) === INTERRUPT);
            const word = gic.bits(name, 0, 32) & (1 << (INTERRUPT & 31));
            return name === 'pending' && isPosted ? 1 << (INTERRUPT & 31) : word;
          });
          is(a, b, `${name} after ${step.do}`);
        }
        is(w.view.getInt32(w.ours.bellAt + DoorbellState.offsets.lock, true), 0);
      }
    }),
    { numRuns: 150 },
  );
  is(quick > 100, true);
});

test('what is not for them goes to the shell, with nothing changed', () => {
  const w = world();
  const refuses = (why: string, n: number, ...args: readonly bigint[]): void => {
    w.log.length = 0;
    is(w.hvc(n, ...args), 1, why);
    equal(w.log, ['other'], why);
    is(w.flags(w.ours.bellAt), 0n, why);
  };
  refuses('no right to send', 0x12, 1n, 1n);
  refuses('no right to receive', 0x13, 0n, 1n);
  refuses('nothing to clear', 0x13, 1n, 0n);
  refuses('reset', 0x14, 0n);
  w.view.setInt32(w.ours.bellAt + DoorbellState.offsets.tapped, 1, true);
  refuses('a bell that is tapped', 0x12, 0n, 1n);
  w.view.setInt32(w.ours.bellAt + DoorbellState.offsets.tapped, 0, true);
  w.view.setInt32(w.ours.bellAt + DoorbellState.offsets.lock, 3, true);
  refuses('a lock that is taken', 0x12, 0n, 1n);
  w.view.setInt32(w.ours.bellAt + DoorbellState.offsets.lock, 0, true);
  w.table.destroy(BELL);
  refuses('a destroyed bell', 0x12, 0n, 1n);
});

test.run();
