/** The partition interface: mshv's verbs with their checks, and a withdrawn right that is gone on processors that run. */
import * as assert from 'uvu/assert';
import { fromRegisterValues, PartitionDriver, registerValues } from '../../test/drivers/partition.js';
import { spec } from '../../test/harness/spec.js';
import { VP_REGISTER, VP_REGISTER_NAMES } from '../abi/hyperv/vp-register-names.js';
import { STAGE2_RIGHTS } from '../shared-state/stage2/stage2-map.js';
import { PARTITION_PROPERTIES, type PartitionProperty } from './partition-properties.js';

const test = spec('partition interface');
const RAM = 0x4000_0000;
const STATUS = 0x4010_0000;
const SHARED = 0x5000_0000;
const PAGE = 4096;
const RWX = STAGE2_RIGHTS.all;
const DEADLINE = { deadlineMs: 240_000 } as const;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Counts for ever in the word x0 points to: a load, an addition, a store. An abort counts in the word of {@link STATUS}
 * with the same offset and tries again.
 */
const COUNTER = [
  0xaa0003e1, // mov x1, x0
  0x92402c06, // and x6, x0, #0xfff
  0xd2a80207, // mov x7, #0x40100000
  0x8b0700c6, // add x6, x6, x7
  0xd2a80002, // mov x2, #0x40000000
  0x91200042, // add x2, x2, #0x800
  0xd518c002, // msr vbar_el1, x2
  0xd5033fdf, // isb
  0xd2800005, // mov x5, #0
  0xf9400022, // loop: ldr x2, [x1]
  0x91000442, // add x2, x2, #1
  0xf9000022, // str x2, [x1]
  0x17fffffd, // b loop
] as const;
const ABORT_AT = 0xa00;
const ABORT = [
  0x910004a5, // add x5, x5, #1
  0xf90000c5, // str x5, [x6]
  0xd69f03e0, // eret
] as const;

async function withDriver(body: (driver: PartitionDriver) => Promise<void>): Promise<void> {
  const driver = new PartitionDriver();
  try {
    await driver.start();
    await body(driver);
  } finally {
    await driver.close();
  }
}

/** Waits until `done`; generous, because a busy machine may not give the threads a processor for long. */
async function until(done: () => boolean): Promise<void> {
  for (let waited = 0; !done(); waited += 2) {
    if (waited > 60_000) throw new Error('waited a minute in vain');
    await sleep(2);
  }
}

test('properties: early ones until initialisation, in their bounds; some only tell', () =>
  withDriver(async (driver) => {
    const { partition } = await driver.get('createPartition', {});
    const set = (property: PartitionProperty, value: number) =>
      driver.ask('setProperty', { partition, property, value });
    const get = (property: PartitionProperty) => driver.ask('getProperty', { partition, property });
    for (const [name, row] of Object.entries(PARTITION_PROPERTIES)) {
      // WHY: the names are the table's keys.
      const property = name as PartitionProperty;
      assert.equal(await get(property), { value: row.initial });
      if (row.set === 'never') assert.is(await set(property, row.initial), 'badArgument', name);
      else {
        assert.is(await set(property, row.set.min - 1), 'propertyRange', name);
        assert.is(await set(property, row.set.max + 1), 'propertyRange', name);
        assert.is(await set(property, row.set.min + 0.5), 'propertyRange', name);
        assert.is(await set(property, row.initial), undefined, name);
      }
    }
    assert.is(await set('toString' as PartitionProperty, 1), 'unknownProperty');
    assert.is(await get('nonsense' as PartitionProperty), 'unknownProperty');
    assert.is(await set('processorCount', 2), undefined);
    await driver.get('initializePartition', { partition });
    assert.is(await set('processorCount', 1), 'badState');
    assert.equal(await get('processorCount'), { value: 2 });
    assert.is(await driver.ask('getProperty', { partition: partition + 1, property: 'processorCount' }), 'noPartition');
  }));

test('a life goes create, initialise, finalise, delete, and gives every frame back', () =>
  withDriver(async (driver) => {
    const before = await driver.get('census', {});
    const { partition } = await driver.get('createPartition', {});
    const map = () => driver.ask('mapGuestMemory', { partition, ipa: RAM, bytes: PAGE, rights: RWX });
    assert.is(await map(), 'badState');
    assert.is(await driver.ask('createVp', { partition, index: 0 }), 'badState');
    const parts = await driver.get('initializePartition', { partition });
    assert.equal(await driver.get('initializePartition', { partition }), parts);
    assert.is(typeof (await map()), 'object');
    assert.is(await driver.ask('createVp', { partition, index: 1 }), 'badArgument');
    assert.is(await driver.ask('createVp', { partition, index: 0.5 }), 'badArgument');
    await driver.get('createVp', { partition, index: 0 });
    assert.is(await driver.ask('createVp', { partition, index: 0 }), 'exists');
    assert.is(await driver.ask('deletePartition', { partition }), 'badState');
    assert.is(await driver.ask('finalizePartition', { partition }), undefined);
    assert.is(await driver.ask('createVp', { partition, index: 0 }), 'badState');
    assert.is(await driver.ask('mapGuestMemory', { partition, ipa: SHARED, bytes: PAGE, rights: RWX }), 'badState');
    // An unmap may come after the end (mshv's teardown).
    assert.is(await driver.ask('unmapGuestMemory', { partition, ipa: RAM, bytes: PAGE }), undefined);
    const { framesReturned } = await driver.get('deletePartition', { partition });
    assert.ok(framesReturned > 0);
    assert.equal(await driver.get('census', {}), before);
    assert.is(await driver.ask('deletePartition', { partition }), 'noPartition');
    const next = await driver.get('createPartition', {});
    assert.is(next.partition, partition + 1, 'numbers are not used twice');
  }));

test('guest memory is mapped in whole pages once, and unmapped as it was mapped', () =>
  withDriver(async (driver) => {
    const { partition } = await driver.get('createPartition', {});
    await driver.get('initializePartition', { partition });
    const map = (ipa: number, bytes: number, rights: number = RWX) =>
      driver.ask('mapGuestMemory', { partition, ipa, bytes, rights });
    const unmap = (ipa: number, bytes: number) => driver.ask('unmapGuestMemory', { partition, ipa, bytes });
    for (const [ipa, bytes] of [
      [RAM + 1, PAGE],
      [RAM, PAGE + 1],
      [RAM, 0],
      [-PAGE, PAGE],
      [2 ** 34, PAGE],
      [RAM, 2 ** 40],
    ] as const) {
      assert.is(await map(ipa, bytes), 'badArgument');
    }
    assert.is(await map(RAM, PAGE, 0), 'badArgument');
    assert.is(await map(RAM, PAGE, 8), 'badArgument');
    assert.is(await map(RAM, 2 ** 31), 'noMemory');
    assert.is(typeof (await map(RAM, 4 * PAGE)), 'object');
    for (const [ipa, bytes] of [
      [RAM, PAGE],
      [RAM + 3 * PAGE, PAGE],
      [RAM - PAGE, 8 * PAGE],
      [RAM + PAGE, PAGE],
    ] as const) {
      assert.is(await map(ipa, bytes), 'overlap');
    }
    assert.equal(await driver.ask('getProperty', { partition, property: 'memoryBytes' }), { value: 4 * PAGE });
    assert.is(await unmap(SHARED, PAGE), 'notMapped');
    assert.is(await unmap(RAM, PAGE), 'badArgument');
    assert.is(await unmap(RAM + PAGE, 3 * PAGE), 'badArgument');
    assert.is(await unmap(RAM, 4 * PAGE), undefined);
    assert.is(await unmap(RAM, 4 * PAGE), 'notMapped');
    for (let region = 0; region < 64; region++) assert.is(typeof (await map(RAM + region * PAGE, PAGE)), 'object');
    assert.is(await map(SHARED, PAGE), 'noMemory', 'a 65th region');
  }));

test(
  'every register with a name is read and set, unknown and read-only ones refused, all or none',
  () =>
    withDriver(async (driver) => {
      const { partition } = await driver.build(1);
      const at = { partition, index: 0 };
      const get = (names: readonly number[]) => driver.ask('getVpRegisters', { ...at, names });
      const set = (names: readonly number[], values: readonly bigint[]) =>
        driver.ask('setVpRegisters', { ...at, names, values: registerValues(values) });
      const one = async (name: number): Promise<bigint | undefined> =>
        fromRegisterValues((await driver.get('getVpRegisters', { ...at, names: [name] })).values)[0];
      assert.is(await one(VP_REGISTER.pstate), 0x3c5n, 'EL1h with everything masked');
      assert.is(await one(0x22005), 1n << 31n);
      const names = VP_REGISTER_NAMES.map((row) => row.code);
      for (let from = 0; from < names.length; from += 100) {
        const answer = await driver.get('getVpRegisters', { ...at, names: names.slice(from, from + 100) });
        assert.is(answer.values.length, Math.min(100, names.length - from) * 16);
      }
      const plain = VP_REGISTER_NAMES.filter(({ register }) =>
        /^(X\d+|PC|SP_EL[01]|(TPIDR|ELR|FAR)_EL[01])$/.test(register),
      );
      for (const [n, { code }] of plain.entries())
        assert.is(await set([code], [BigInt(n) * 0x1_0000_0001n]), undefined);
      for (const [n, { code, register }] of plain.entries()) {
        assert.is(await one(code), BigInt(n) * 0x1_0000_0001n, register);
      }
      const wide = (1n << 127n) | 5n;
      assert.is(await set([0x3001f, 0x30000], [wide, 7n]), undefined);
      assert.is(await one(0x3001f), wide);
      // An exception level change moves the stack pointers, and undoes itself.
      assert.is(await set([VP_REGISTER.pstate], [0n]), undefined);
      assert.is(await one(0x2001f), await one(0x20020), 'at EL0 SP is SP_EL0');
      assert.is(await set([VP_REGISTER.pstate], [0x8000_03c5n]), undefined);
      assert.is(await one(VP_REGISTER.pstate), 0x8000_03c5n);
      assert.is(await one(0x2001f), await one(0x20021), 'at EL1h SP is SP_EL1');
      assert.is(await get([]), 'badArgument');
      assert.is(await get(Array.from({ length: 129 }, () => VP_REGISTER.x0)), 'badArgument');
      assert.is(typeof (await get(Array.from({ length: 128 }, () => VP_REGISTER.x0))), 'object');
      assert.is(await get([0xdead]), 'unknownRegister');
      assert.is(await set([0x0], [1n]), 'badArgument', 'explicit suspend');
      assert.is(await set([0x22005], [1n]), 'badArgument', 'read-only');
      assert.is(await set([VP_REGISTER.x0], [1n << 64n]), 'badArgument', 'wider than it is');
      assert.is(await set([VP_REGISTER.pstate], [0x3c9n]), 'badArgument', 'EL2');
      const x0 = await one(VP_REGISTER.x0);
      assert.is(await set([VP_REGISTER.x0, 0xdead], [99n, 0n]), 'unknownRegister');
      assert.is(await one(VP_REGISTER.x0), x0, 'all or none');
      assert.is(await driver.ask('getVpRegisters', { partition, index: 1, names: [0x20000] }), 'noProcessor');
    }),
  DEADLINE,
);

test(
  'a processor starts where its registers say, once, and its interrupt controller state travels as a whole',
  () =>
    withDriver(async (driver) => {
      const { partition, block } = await driver.build(2);
      const at = { partition, index: 0 };
      const [ram] = (await driver.get('mapGuestMemory', { partition, ipa: RAM, bytes: PAGE, rights: RWX })).extents;
      const [page] = (await driver.get('mapGuestMemory', { partition, ipa: SHARED, bytes: PAGE, rights: RWX })).extents;
      assert.ok(ram !== undefined && page !== undefined);
      driver.place(ram.host, COUNTER);
      const state = await driver.get('getVpState', { ...at, type: 0 });
      assert.is(await driver.ask('setVpState', { ...at, type: 0, bytes: state.bytes }), undefined);
      assert.is(await driver.ask('setVpState', { ...at, type: 0, bytes: state.bytes.subarray(1) }), 'badArgument');
      assert.is(await driver.ask('getVpState', { ...at, type: 2 }), 'badArgument');
      const values = registerValues([BigInt(RAM), BigInt(SHARED)]);
      const names = [VP_REGISTER.pc, VP_REGISTER.x0];
      assert.is(await driver.ask('setVpRegisters', { ...at, names, values }), undefined);
      assert.is(await driver.ask('runVp', at), undefined);
      await until(() => driver.read(page.host) > 100n);
      assert.is(await driver.ask('runVp', at), 'badState');
      assert.is(await driver.ask('attachVp', { ...at, actor: 1 }), 'badState');
      assert.is(await driver.ask('setVpState', { ...at, type: 0, bytes: state.bytes }), 'badState');
      // While it runs its registers are those of one moment: pc is one of the loop's four instructions.
      const [pc = 0n] = fromRegisterValues(
        (await driver.get('getVpRegisters', { ...at, names: [VP_REGISTER.pc] })).values,
      );
      assert.ok(pc >= BigInt(RAM + 0x24) && pc <= BigInt(RAM + 0x30), `pc ${pc.toString(16)}`);
      assert.is(block.power(1), 1, 'the second waits for CPU_ON');
      assert.is(await driver.ask('finalizePartition', { partition }), undefined);
      const end = driver.read(page.host);
      await sleep(20);
      assert.is(driver.read(page.host), end, 'nothing runs after finalising');
    }),
  DEADLINE,
);

for (const cpus of [1, 2, 4]) {
  test(
    `a withdrawn right is gone on ${cpus} running processors before the call returns`,
    () =>
      withDriver(async (driver) => {
        const { partition, block } = await driver.build(cpus);
        const map = async (ipa: number): Promise<number> => {
          const mapped = await driver.get('mapGuestMemory', { partition, ipa, bytes: PAGE, rights: RWX });
          assert.ok(mapped.extents[0] !== undefined);
          return mapped.extents[0].host;
        };
        driver.place(await map(RAM), [...COUNTER, ...Array(ABORT_AT / 4 - COUNTER.length).fill(0), ...ABORT]);
        const status = await map(STATUS);
        let host = await map(SHARED);
        const counters = Array.from({ length: cpus }, (_, cpu) => cpu * 64);
        const all = (base: number): bigint[] => counters.map((at) => driver.read(base + at));
        for (const [cpu, at] of counters.entries()) driver.turnOn(block, cpu, RAM, SHARED + at);
        for (let round = 0; round < 12; round++) {
          await until(() => all(host).every((count) => count > 2_000n * BigInt(round % 4)));
          assert.is(await driver.ask('unmapGuestMemory', { partition, ipa: SHARED, bytes: PAGE }), undefined);
          const atReturn = all(host);
          const aborts = all(status);
          await until(() => all(status).every((count, cpu) => count > (aborts[cpu] ?? 0n)));
          assert.equal(all(host), atReturn, 'no store after the call has returned');
          // The frame goes to the next who asks, at another address: it stays as zero as it was handed out.
          const elsewhere = await map(SHARED + 16 * PAGE);
          await sleep(2);
          assert.ok(driver.bytes.subarray(elsewhere, elsewhere + PAGE).every((byte) => byte === 0));
          assert.is(
            await driver.ask('unmapGuestMemory', { partition, ipa: SHARED + 16 * PAGE, bytes: PAGE }),
            undefined,
          );
          host = await map(SHARED);
        }
      }),
    DEADLINE,
  );
}
test.run();
