import * as assert from 'uvu/assert';
import { type FinishedBatch, UNASKED } from '../../cpu/jit/jit.js';
import { holdsCode } from '../../cpu/jit/region-code.js';
import { spec } from '../../test/harness/spec.js';
import { createObjectChannel, ObjectPort } from '../runtime/object-channel.js';
import { ActorSystem } from '../runtime/system.js';
import { translatorKind } from './translator.actor.js';
import type { TranslationRequest } from './translator.protocol.js';

const test = spec('translator');
const CODE = 8192;

test(
  'it answers every processor with compiled modules, and with nothing for what is no code',
  async () => {
    const memory = new WebAssembly.Memory({ initial: 65_536, maximum: 65_536, shared: true });
    const view = new DataView(memory.buffer);
    view.setUint32(CODE, 0x91000400, true); // add x0, x0, #1
    view.setUint32(CODE + 4, 0xd65f03c0, true); // ret
    const channels = [createObjectChannel(), createObjectChannel()];
    const system = new ActorSystem({ onEvent: () => undefined, onLog: () => undefined, seed: 1 });
    try {
      const ends = channels.map(([, end]) => end);
      const spawned = await system.spawn(
        translatorKind,
        { memory, vcpus: ends, shared: { bytesMax: 1 << 20, modulesMax: 100 } },
        { name: 'vm-translator' },
      );
      assert.ok(spawned.ok);
      const ports = channels.map(([end]) => new ObjectPort<TranslationRequest, FinishedBatch>(end));
      const ids = new Set<number>();
      for (const [n, port] of ports.entries()) {
        port.send({ ticket: n, entries: [{ host: CODE, offset: 0 }] });
        port.send({ ticket: 10 + n, entries: [{ host: CODE, offset: 8 }] });
        const code = await take(port);
        const none = await take(port);
        assert.is(code.ticket, n);
        const [made, ...more] = code.modules;
        assert.ok(made !== undefined && more.length === 0);
        assert.instance(made.module, WebAssembly.Module);
        assert.is(code.instructions, n === 0 ? 2 : 0, 'it is translated for the first who asks');
        const [region] = made.regions;
        assert.ok(region !== undefined && region.code.length > 0 && holdsCode(view, CODE, region.code));
        assert.equal([region.host, region.offset, region.name], [CODE, 0, 'r0']);
        ids.add(made.id);
        assert.is(none.ticket, 10 + n);
        assert.equal(none.modules, []);
      }
      assert.is(ids.size, 1, 'both have the same module');
      // What the guest has changed is translated anew.
      view.setUint32(CODE, 0x91000800, true); // add x0, x0, #2
      const [, second] = ports;
      second?.send({ ticket: 20, entries: [{ host: CODE, offset: 0 }] });
      const changed = second && (await take(second));
      assert.is(changed?.instructions, 2);
      assert.not.ok(ids.has(changed?.modules[0]?.id ?? 0));
      const answer = await system.sender.ask(spawned.value, 'statistics', {}, { timeoutMs: 10_000 });
      assert.ok(answer.ok);
      const { batches, instructions, refused, shared } = answer.value;
      assert.equal({ batches, instructions, refused, shared }, { batches: 5, instructions: 4, refused: 0, shared: 1 });
      // What was made for the second since then, the first gets with its next answer, once.
      const [first] = ports;
      for (const [ticket, isNew] of [
        [30, true],
        [31, false],
      ] as const) {
        first?.send({ ticket, entries: [{ host: CODE, offset: 8 }] });
        const none = first && (await take(first));
        assert.equal([none?.ticket, none?.modules.length], [ticket, 0]);
        if (!isNew) continue;
        const offered = first && (await take(first));
        assert.equal(
          [offered?.ticket, offered?.modules.map(({ id }) => id)],
          [UNASKED, changed?.modules.map(({ id }) => id)],
        );
      }
      // What it is given again is only of the page it asks for.
      first?.send({ ticket: 32, entries: [{ host: CODE, offset: 0 }] });
      const again = first && (await take(first));
      assert.equal(
        again?.modules.map(({ id, regions }) => [id, regions.length]),
        [[changed?.modules[0]?.id, 1]],
      );
    } finally {
      await system.close();
      for (const [end] of channels) end.port.close();
    }
  },
  { deadlineMs: 60_000 },
);

/** The next batch, waited for without blocking this thread. */
async function take(port: ObjectPort<TranslationRequest, FinishedBatch>): Promise<FinishedBatch> {
  for (;;) {
    const batch = port.take();
    if (batch !== undefined) return batch;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test.run();
