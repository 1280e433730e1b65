/** The doorbell against a model of Gunyah's (gunyah.md section 4), its waits, and the lock below it. */
import fc from 'fast-check';
import { equal, throws, ok as truthy } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { createDoorbell, Doorbell, DoorbellState, formatDoorbell, recoverDoorbell } from './doorbell.js';
import { OwnerLock, recoverLock } from './owner-lock.js';

const test = spec('doorbell');
const ALL = (1n << 64n) - 1n;
const low = (value: bigint): number => Number(BigInt.asIntN(32, value));
const high = (value: bigint): number => Number(BigInt.asIntN(32, value >> 32n));

class Model {
  flags = 0n;
  enable = ALL;
  ack = 0n;
  send(flags: bigint): [bigint, string[]] {
    const old = this.flags;
    this.flags |= flags;
    const level = (this.flags & this.enable) !== 0n;
    if (level) this.flags &= ~this.ack;
    return [old, [`assert ${level}`]];
  }
  receive(clear: bigint): [bigint, string[]] {
    const old = this.flags;
    if (clear === 0n) return [-1n, ['refused']];
    this.flags &= ~clear;
    return [old, []];
  }
  mask(enable: bigint, ack: bigint): string[] {
    const was = (this.flags & this.enable) !== 0n;
    const now = (this.flags & enable) !== 0n;
    this.enable = enable;
    this.ack = ack;
    if (now) this.flags &= ~ack;
    return was && !now ? ['clear'] : !was && now ? ['assert true'] : [];
  }
  reset(): string[] {
    this.flags = 0n;
    this.ack = 0n;
    this.enable = ALL;
    return ['clear'];
  }
}

function attach(log: string[] = []) {
  const handle = createDoorbell();
  const interrupt = {
    assert: (level: boolean) => void log.push(`assert ${level}`),
    clear: () => void log.push('clear'),
  };
  const bell = Doorbell.attach(handle, { owner: 1, interrupt });
  truthy(bell.ok);
  return { handle, bell: bell.value };
}

const word = fc.oneof(
  fc.bigInt({ min: 0n, max: ALL }),
  fc.nat(63).map((n) => 1n << BigInt(n)),
  fc.constantFrom(0n, 1n, ALL),
);
const step = fc.oneof(
  fc.record({ do: fc.constant('send' as const), a: word, b: word }),
  fc.record({ do: fc.constant('receive' as const), a: word, b: word }),
  fc.record({ do: fc.constant('mask' as const), a: word, b: word }),
  fc.record({ do: fc.constant('reset' as const), a: word, b: word }),
);

test('flags, masks, interrupts and answers are those of the model', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const log: string[] = [];
      const { bell } = attach(log);
      const model = new Model();
      for (const one of steps) {
        log.length = 0;
        let expected: string[];
        if (one.do === 'send' || one.do === 'receive') {
          const [old, lines] = one.do === 'send' ? model.send(one.a) : model.receive(one.a);
          expected = lines;
          if (one.do === 'send') bell.send(low(one.a), high(one.a));
          else if (!bell.receive(low(one.a), high(one.a)).ok) log.push('refused');
          if (old >= 0n) equal((BigInt(bell.oldHigh) << 32n) | BigInt(bell.oldLow), old);
        } else if (one.do === 'mask') {
          expected = model.mask(one.a, one.b);
          bell.mask(low(one.a), high(one.a), low(one.b), high(one.b));
        } else {
          expected = model.reset();
          bell.reset();
        }
        equal(log, expected);
        equal(bell.pending(), (model.flags & model.enable) !== 0n);
      }
    }),
    { numRuns: 500 },
  );
});

test('waits end when a flag is set, and time out otherwise', async () => {
  const { bell } = attach();
  let held = 0;
  const keepAlive = { hold: () => void held++, release: () => void held-- };
  equal(bell.wait(10, 5), false);
  // The timer keeps the loop alive, as a runtime's keepAlive would.
  const timer = setInterval(() => undefined, 1000);
  equal(await bell.waitAsync(keepAlive, 5), false);
  const waiting = bell.waitAsync(keepAlive);
  equal(held, 1);
  bell.send(0, 4);
  equal(await waiting, true);
  clearInterval(timer);
  equal(held, 0);
  equal(bell.wait(0), true);
  truthy(bell.receive(0, 4).ok);
  equal(bell.pending(), false);
});

test('a masked flag wakes nobody until it is enabled', async () => {
  const { bell } = attach();
  bell.mask(0, 0, 0, 0);
  bell.send(1);
  equal(bell.wait(0, 1), false);
  const timer = setInterval(() => undefined, 1000);
  const waiting = bell.waitAsync({ hold: () => undefined, release: () => undefined });
  bell.mask(1, 0, 0, 0);
  equal(await waiting, true);
  clearInterval(timer);
});

test('attach refuses what is not a doorbell', () => {
  const buffer = new SharedArrayBuffer(4096);
  equal(Doorbell.attach({ buffer, byteOffset: 64 }, { owner: 1 }).ok, false);
  equal(Doorbell.attach({ buffer, byteOffset: 8 }, { owner: 1 }).ok, false);
  equal(formatDoorbell({ buffer, byteOffset: 4096 }).ok, false);
  truthy(formatDoorbell({ buffer, byteOffset: 64 }).ok);
  truthy(Doorbell.attach({ buffer, byteOffset: 64 }, { owner: 1 }).ok);
  throws(() => Doorbell.attach({ buffer, byteOffset: 64 }, { owner: 0 }));
});

test('a lock is freed for its dead owner only, and complains when taken or given back wrongly', () => {
  const words = new Int32Array(new SharedArrayBuffer(8));
  const one = new OwnerLock(words, 0, 1);
  one.acquire();
  throws(() => one.acquire(), /twice/);
  throws(() => new OwnerLock(words, 0, 2).release(), /was held by/);
  words[0] = 1;
  equal(recoverLock(words, 0, 2), false);
  equal(recoverLock(words, 0, 1), true);
  one.acquire();
  one.release();
  const { handle, bell } = attach();
  new Int32Array(handle.buffer)[DoorbellState.offsets.lock >> 2] = 9;
  equal(recoverDoorbell(handle, 9), true);
  bell.send(1);
});
test.run();
