/** The queue against a model of Gunyah's message queue (gunyah.md section 3), in every mode. */
import fc from 'fast-check';
import { equal, ok as truthy } from 'uvu/assert';
import { startAt } from '../../test/bus/nets.js';
import { spec } from '../../test/harness/spec.js';
import { CORRUPT } from './queue-end.js';
import { createQueue, type QueueMode } from './queue-layout.js';
import { QueueReceiver } from './queue-receiver.js';
import { QueueSender, UNCHANGED } from './queue-sender.js';

const test = spec('message-queue model');
const MESSAGE_BYTES_MAX = 20;

/** Gunyah's queue in a few lines: what it answers and which edges it asserts. */
class Model {
  private readonly messages: Uint8Array[] = [];
  private notFull: number;
  private notEmpty = 1;
  private readonly depth: number;

  constructor(depth: number) {
    this.depth = depth;
    this.notFull = depth - 1;
  }
  send(message: Uint8Array, push: boolean): string[] {
    if (this.messages.length === this.depth) return ['full'];
    if (message.length === 0 || message.length > MESSAGE_BYTES_MAX) return ['size'];
    this.messages.push(message);
    const count = this.messages.length;
    const edge = push || count === this.notEmpty ? ['data'] : [];
    return [...edge, `sent ${count < this.depth}`];
  }
  receive(room: number): string[] {
    const [first] = this.messages;
    if (first === undefined) return ['empty'];
    if (first.length > room) return ['size'];
    this.messages.shift();
    const count = this.messages.length;
    return [...(count === this.notFull ? ['space'] : []), `got ${first} ${count > 0}`];
  }
  flush(): string[] {
    if (this.messages.length === 0) return [];
    this.messages.length = 0;
    return ['space', '-data'];
  }
  configureSend(threshold: number): string[] {
    if (threshold === UNCHANGED) return [];
    if (threshold >= this.depth) return ['refused'];
    this.notFull = threshold;
    return [this.messages.length <= threshold ? 'space' : '-space'];
  }
  configureReceive(threshold: number): string[] {
    if (threshold === UNCHANGED) return [];
    if (threshold === UNCHANGED - 1) {
      this.notEmpty = this.depth;
      return [];
    }
    if (threshold === 0 || threshold > this.depth) return ['refused'];
    this.notEmpty = threshold;
    return [this.messages.length >= threshold ? 'data' : '-data'];
  }
  levels(): string[] {
    return [`${this.messages.length >= this.notEmpty} ${this.messages.length <= this.notFull}`];
  }
}

const thresholds = fc.oneof(fc.nat(9), fc.constantFrom(UNCHANGED, UNCHANGED - 1));
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('send' as const), size: fc.nat(22), push: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('receive' as const), room: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('configureSend' as const), threshold: thresholds }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('configureReceive' as const), threshold: thresholds }) },
);
const EDGE = /^-?(data|space)$/;
const start = fc.constantFrom(0, -1, -3, 0x7fff_fffe);

/** Without interrupt lines the receiver of a queue without a common lock goes by slots and not by the tail. */
const ways = (['single', 'fan-in', 'shared'] as const satisfies QueueMode[]).flatMap((mode) => [
  { mode, wired: true },
  { mode, wired: false },
]);

for (const { mode, wired } of ways) {
  test(`${mode}: answers, contents and ${wired ? 'edges' : 'levels, without interrupt lines,'} are Gunyah's`, () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), start, fc.array(step, { maxLength: 60 }), (depth, index, steps) => {
        const handle = createQueue({ depth, messageBytesMax: MESSAGE_BYTES_MAX, mode });
        startAt(handle, index);
        const log: string[] = [];
        const signals = {
          data: (on: boolean) => void log.push(on ? 'data' : '-data'),
          space: (on: boolean) => void log.push(on ? 'space' : '-space'),
        };
        const lines = wired ? { signals } : {};
        const sender = QueueSender.attach(handle, { owner: 1, ...lines });
        const receiver = QueueReceiver.attach(handle, { owner: 2, ...lines });
        truthy(sender.ok && receiver.ok);
        const model = new Model(depth);
        for (const [n, one] of steps.entries()) {
          log.length = 0;
          let expected: string[];
          if (one.do === 'send') {
            const message = new Uint8Array(one.size).fill(n);
            expected = model.send(message, one.push);
            const sent = sender.value.send(message, one.push);
            if (sent.ok) log.push(`sent ${sent.value.hasSpace}`);
            else log.push(sent.error.status === 'queueFull' ? 'full' : 'size');
          } else if (one.do === 'receive') {
            const into = new Uint8Array(one.room);
            expected = model.receive(one.room);
            const got = receiver.value.receive(into);
            if (got.ok) log.push(`got ${into.subarray(0, got.value.sizeBytes)} ${got.value.hasMore}`);
            else log.push(got.error.status === 'queueEmpty' ? 'empty' : 'size');
          } else if (one.do === 'flush') {
            expected = model.flush();
            receiver.value.flush();
          } else if (one.do === 'configureSend') {
            expected = model.configureSend(one.threshold);
            if (!sender.value.configure(one.threshold, UNCHANGED).ok) log.push('refused');
          } else {
            expected = model.configureReceive(one.threshold);
            if (!receiver.value.configure(one.threshold, UNCHANGED).ok) log.push('refused');
          }
          equal(
            log,
            wired ? expected : expected.filter((line) => !EDGE.test(line)),
            `step ${n}: ${JSON.stringify(one)}`,
          );
          equal([`${receiver.value.dataPending()} ${sender.value.spacePending()}`], model.levels());
        }
        return receiver.value.peek() !== CORRUPT;
      }),
      { numRuns: 300 },
    );
  });
}
test.run();
