/**
 * Hostile clients of the resource manager: any request gets exactly one reply, any packet at all does no harm, a VM that
 * takes no part keeps its memory and its mappings, and afterwards every frame is back.
 */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { RAM_BASE, RAM_BYTES, RmBench } from '../../test/fixtures/gunyah/rm-bench.js';
import { spec } from '../../test/harness/spec.js';
import { PayloadWriter } from './payload.js';
import { RM_ERROR, RM_MESSAGE } from './rm-messages.js';
import { serveClient } from './rpc-server.js';

const test = spec('rm hostile clients');
const PAGE = 4096;
const ERRORS = new Set<number>(Object.values(RM_ERROR));
const CANARY = new TextEncoder().encode('not yours');

/** Words that mean something: VMIDs, handles, rights, counts, page addresses. */
const word = fc.oneof(
  fc.constantFrom(
    0,
    1,
    2,
    3,
    7,
    0x80,
    0x81,
    0x82,
    0x0007_0080,
    0x0007_0003,
    0xffff_ffff,
    0x1000,
    RAM_BASE,
    RAM_BASE + PAGE,
  ),
  fc.nat(0xffff_ffff),
);
const payload = fc.oneof(
  fc.array(word, { maxLength: 24 }).map((words) => {
    const out = new PayloadWriter();
    for (const value of words) out.u32(value);
    return out.finish();
  }),
  fc.uint8Array({ maxLength: 600 }),
  // A well-formed lend, share or donation of a few pages to somebody.
  fc
    .record({
      acl: fc.array(fc.tuple(fc.constantFrom(3, 0x80, 0x81, 0x82), fc.nat(8)), { maxLength: 3 }),
      pages: fc.array(fc.nat(6), { maxLength: 3 }),
      flags: fc.nat(3),
    })
    .map(({ acl, pages, flags }) => {
      const out = new PayloadWriter().u8(0).u8(0).u8(flags).u8(0).u32(7).u16(acl.length).u16(0);
      for (const [vmid, rights] of acl) out.u16(vmid).u8(rights).u8(0);
      out.u16(pages.length).u16(0);
      for (const page of pages) out.u64(BigInt(RAM_BASE + page * PAGE)).u64(BigInt(PAGE));
      return out.u16(0).u16(0).finish();
    }),
);
const message = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...Object.values(RM_MESSAGE)) },
  { weight: 1, arbitrary: fc.nat(0xffff_ffff) },
);
const request = fc.record({ client: fc.nat(1), message, payload });

test(
  'every request gets one reply, and a VM that takes no part notices nothing',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 10, maxLength: 50 }), async (requests) => {
        const bench = new RmBench();
        const baseline = bench.pool.freeFrames;
        const hlos = await bench.vm();
        const guest = await bench.vm(0x80);
        const victim = await bench.vm(0x81);
        const number = victim.vm.partition ?? -1;
        bench.poke(number, RAM_BASE, CANARY);
        const map = (): number[] =>
          Array.from({ length: RAM_BYTES / PAGE }, (_, page) => {
            const stage2 = bench.partitions.get(number)?.parts?.stage2;
            return stage2?.entry(RAM_BASE / PAGE + page) ?? 0;
          });
        const before = map();
        for (const { client, message: id, payload: content } of requests) {
          const asking = client === 0 ? hlos : guest;
          const { error } = await asking.call(id, content);
          assert.ok(ERRORS.has(error), `0x${id.toString(16)} was answered ${error}`);
          if (asking.vm.link === undefined || !asking.vm.isAlive) break;
          hlos.receive();
        }
        assert.equal(map(), before);
        const frame = (before[0] ?? 0) & ~0xfff;
        assert.equal(bench.memory.slice(frame, frame + CANARY.length), CANARY);
        assert.is(bench.rm.vms.get(0x81)?.state, 3);
        for (const vm of bench.rm.vms.all()) await bench.rm.tearDown(vm);
        assert.is(bench.parcels.count, 0);
        assert.is(bench.pool.freeFrames, baseline);
      }),
      { numRuns: 150 },
    );
  },
  { deadlineMs: 120_000 },
);

test(
  'packets of any content are dropped or answered, and a proper request afterwards is',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 240 }), { maxLength: 40 }),
        async (packets) => {
          const bench = new RmBench();
          const hlos = await bench.vm();
          const [tx] = hlos.vm.ports;
          for (const packet of packets) {
            // Most of them with a plausible header, so that they get further.
            if (packet.length > 8 && (packet[2] ?? 0) % 4 !== 0) packet.set([0x21, (packet[1] ?? 0) & 0x0f], 0);
            assert.ok(bench.kernel.ports.sender(tx ?? 0).send(packet).ok);
            await serveClient(bench.rm, hlos.vm);
            hlos.receive();
          }
          const { error, rest } = await hlos.call(RM_MESSAGE.VM_GET_VMID);
          assert.equal([error, rest.u32()], [RM_ERROR.OK, 3]);
        },
      ),
      { numRuns: 100 },
    );
  },
  { deadlineMs: 120_000 },
);
test.run();
