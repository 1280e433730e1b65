/**
 * The generated queue calls against the queue itself (bus/message-queue): the same random calls on two queues must give the
 * same answers, edges and bytes; what the code does not do itself it must leave untouched.
 */
import fc from 'fast-check';
import { equal, ok as truthy } from 'uvu/assert';
import { formatQueue, QueueHeader, queueBytes } from '../../bus/message-queue/queue-layout.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { QueueSender, UNCHANGED } from '../../bus/message-queue/queue-sender.js';
import { STATE, TLB } from '../../cpu/state.js';
import { spec } from '../../test/harness/spec.js';
import { GUNYAH_ERROR } from '../abi/gunyah/errors.js';
import { RIGHTS } from '../abi/gunyah/rights.js';
import {
  CAPABILITY_SLOT,
  CapabilitySpace,
  capabilitySpaceBytes,
} from '../shared-state/capabilities/capability-space.js';
import { ObjectTable, SOURCE } from '../shared-state/objects/object-table.js';
import { queueCallsCode } from './queue-calls-code.js';

const test = spec('queue calls code');
const MESSAGE_BYTES = 40;
const [STATE_AT, TLB_AT, TABLE_AT, SPACE_AT, OURS_AT, TWIN_AT, PAGE_AT] = [
  0x1000, 0x2000, 0x10000, 0x60000, 0x70000, 0x80000, 0x90000,
];
const VIRTUAL = 0x4030_0000;
const OWNER = 77;
const OBJECT = 5;
const SLOTS = 8;

/** A vCPU's memory with one queue, whose both ends capabilities 0 (send) and 1 (receive) are, and a twin of it. */
function world(depth: number) {
  const memory = new WebAssembly.Memory({ initial: 16, maximum: 65536, shared: true });
  // WHY: the type of WebAssembly.Memory.buffer does not say that it is shared.
  const buffer = memory.buffer as unknown as SharedArrayBuffer;
  const view = new DataView(buffer);
  const shape = { depth, messageBytesMax: MESSAGE_BYTES, mode: 'shared' } as const;
  const size = queueBytes(shape);
  truthy(size.ok && size.value <= TWIN_AT - OURS_AT);
  for (const byteOffset of [OURS_AT, TWIN_AT]) truthy(formatQueue({ buffer, byteOffset }, shape).ok);
  const table = new ObjectTable(buffer, TABLE_AT);
  table.create(OBJECT, 'messageQueue', 0);
  table.setData(OBJECT, OURS_AT);
  table.setState(OBJECT, 'active');
  // What leads to an actor is the shell's to tell, so each edge is heard here.
  for (const source of [SOURCE.first, SOURCE.second]) table.bind(OBJECT, source, { to: 'actor', actor: 9 });
  truthy(capabilitySpaceBytes(SLOTS) < OURS_AT - SPACE_AT);
  const space = CapabilitySpace.create(buffer, SPACE_AT, SLOTS, table);
  space.insert(OBJECT, RIGHTS.messageQueue.send);
  space.insert(OBJECT, RIGHTS.messageQueue.receive);
  view.setInt32(STATE_AT + STATE.el, 1, true);
  view.setInt32(STATE_AT + STATE.tlb, TLB_AT, true);
  const entry = TLB_AT + (((VIRTUAL >>> 12) & ((1 << TLB.entriesLog2) - 1)) << TLB.entryBytesLog2);
  for (const tag of [TLB.readTag, TLB.writeTag]) view.setBigUint64(entry + tag, BigInt(VIRTUAL), true);
  view.setInt32(entry + TLB.addend, PAGE_AT - VIRTUAL, true);
  const log: string[] = [];
  const call = queueCallsCode(
    memory,
    { state: STATE_AT, table: TABLE_AT, slotsAt: SPACE_AT + CAPABILITY_SLOT.first, slots: SLOTS, owner: OWNER },
    {
      other: () => {
        log.push('other');
        return 1;
      },
      edge: (object, source) => void log.push(`edge ${object} ${source}`),
      ring: (actor) => void log.push(`ring ${actor}`),
      unpark: () => void log.push('unpark'),
      wakeNext: () => void log.push('wake'),
    },
  );
  const x = (n: number): bigint => view.getBigUint64(STATE_AT + n * 8, true);
  /** Makes the call in either form. */
  const hvc = (isNative: boolean, n: number, ...args: readonly number[]): number => {
    view.setBigUint64(STATE_AT + STATE.exitInfo, isNative ? BigInt(0x6000 + n) : 0n, true);
    const words = isNative ? args : [0xc600_8000 + n, ...args];
    words.forEach((value, index) => {
      view.setBigUint64(STATE_AT + index * 8, BigInt(value), true);
    });
    return call(STATE_AT);
  };
  return { buffer, view, space, table, log, hvc, x };
}

const step = fc.record({
  isSend: fc.boolean(),
  isNative: fc.boolean(),
  bytes: fc.integer({ min: 0, max: MESSAGE_BYTES + 3 }),
  offset: fc.constantFrom(0, 1, 8, 100, 4096 - MESSAGE_BYTES, 4096 - 17),
  push: fc.boolean(),
});

test('answers, edges and bytes are those of the queue', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.constantFrom(0, -1, 0x7fff_fffe),
      fc.array(step, { maxLength: 60 }),
      (depth, start, steps) => {
        const { buffer, view, log, hvc, x } = world(depth);
        for (const at of [OURS_AT, TWIN_AT]) {
          view.setInt32(at + QueueHeader.offsets.headShared, start, true);
          view.setInt32(at + QueueHeader.offsets.tail, start, true);
        }
        const edges: string[] = [];
        const signals = {
          data: () => void edges.push(`edge ${OBJECT} 6`),
          space: () => void edges.push(`edge ${OBJECT} 8`),
        };
        const options = { owner: 1, signals };
        const sender = QueueSender.attach({ buffer, byteOffset: TWIN_AT }, options);
        const receiver = QueueReceiver.attach({ buffer, byteOffset: TWIN_AT }, options);
        truthy(sender.ok && receiver.ok);
        const page = new Uint8Array(buffer, PAGE_AT, 4096);
        const twin = new Uint8Array(MESSAGE_BYTES + 3);
        for (const [n, { isSend, isNative, bytes, offset, push }] of steps.entries()) {
          log.length = 0;
          edges.length = 0;
          const before = new Uint8Array(buffer, OURS_AT, QueueHeader.sizeBytes).slice();
          const crosses = offset + bytes > 4096;
          if (isSend) {
            page.subarray(offset, offset + bytes).fill(n + 1);
            const answered = hvc(isNative, 0x1b, 0, bytes, VIRTUAL + offset, push ? 1 : 0) === 0;
            const used = (view.getInt32(TWIN_AT + QueueHeader.offsets.tail, true) - receiver.value.position) | 0;
            const isPlain = !crosses && bytes > 0 && bytes <= MESSAGE_BYTES && used !== depth;
            equal(answered, isPlain, `step ${n}`);
            if (answered) {
              const sent = sender.value.send(new Uint8Array(bytes).fill(n + 1), push);
              truthy(sent.ok);
              equal([x(0), x(1)], [0n, sent.value.hasSpace ? 1n : 0n]);
            }
          } else {
            const size = receiver.value.peek();
            receiver.value.free();
            const answered = hvc(isNative, 0x1c, 1, VIRTUAL + offset, bytes) === 0;
            const isPlain = size < 0 || (size <= bytes && offset + size <= 4096);
            equal(answered, isPlain, `step ${n}`);
            if (answered && size < 0) equal([x(0), x(1), x(2)], [BigInt(GUNYAH_ERROR.queueEmpty), 0n, 0n]);
            else if (answered) {
              const got = receiver.value.receive(twin);
              truthy(got.ok);
              equal([x(0), x(1), x(2)], [0n, BigInt(size), got.value.hasMore ? 1n : 0n]);
              equal([...page.subarray(offset, offset + size)], [...twin.subarray(0, size)]);
            }
          }
          if (log[0] === 'other') {
            equal(log, ['other']);
            equal([...new Uint8Array(buffer, OURS_AT, QueueHeader.sizeBytes)], [...before]);
          } else equal(log, edges, `step ${n}`);
          equal(view.getInt32(OURS_AT + QueueHeader.offsets.lock, true), 0);
        }
        equal(sender.value.configure(UNCHANGED, UNCHANGED).ok, true);
      },
    ),
    { numRuns: 60 },
  );
});

test('what is not for it goes to the shell, with nothing changed', () => {
  const { view, space, table, log, hvc } = world(4);
  const refuses = (why: string, ...args: readonly number[]): void => {
    log.length = 0;
    equal(hvc(true, 0x1b, ...args), 1, why);
    equal(log, ['other'], why);
    equal(view.getInt32(OURS_AT + QueueHeader.offsets.tail, true), 0, why);
  };
  const good = [0, 8, VIRTUAL, 0] as const;
  equal(hvc(true, 0x12, ...good), 1);
  equal(hvc(true, 0, ...good), 1);
  refuses('the right to receive only', 1, 8, VIRTUAL, 0);
  refuses('no such slot', 99, 8, VIRTUAL, 0);
  refuses('another life of the slot', 0x1_0000, 8, VIRTUAL, 0);
  refuses('an id of 64 bits', 2 ** 46, 8, VIRTUAL, 0);
  refuses('a size of 64 bits', 0, 2 ** 32 + 8, VIRTUAL, 0);
  refuses('a page that the TLB does not hold', 0, 8, VIRTUAL + 0x1000, 0);
  refuses('the same page of other 4 GiB', 0, 8, VIRTUAL + 2 ** 32, 0);
  const setting = (at: number, value: number, why: string): void => {
    const was = view.getInt32(at, true);
    view.setInt32(at, value, true);
    refuses(why, ...good);
    view.setInt32(at, was, true);
  };
  setting(STATE_AT + STATE.el, 0, 'from EL0');
  setting(STATE_AT + STATE.callsWatched, 1, 'while calls are recorded');
  setting(OURS_AT + QueueHeader.offsets.lock, 3, 'while somebody holds the lock');
  setting(OURS_AT + QueueHeader.offsets.tapped, 1, 'while the queue is tapped');
  setting(OURS_AT + QueueHeader.offsets.mode, 0, 'a queue of another mode');
  table.setState(OBJECT, 'failed');
  refuses('an object that is not active', ...good);
  table.setState(OBJECT, 'active');
  equal(hvc(true, 0x1b, ...good), 0);
  view.setInt32(OURS_AT + QueueHeader.offsets.tail, 0, true);
  space.revoke(0);
  refuses('a revoked capability', ...good);
  space.remove(0);
  refuses('a capability that is gone', ...good);
  const again = space.insert(OBJECT, RIGHTS.messageQueue.send);
  refuses('its successor in the same slot', ...good);
  table.destroy(OBJECT);
  refuses('a destroyed object', Number(space.idOf(again)), 8, VIRTUAL, 0);
});

test.run();
