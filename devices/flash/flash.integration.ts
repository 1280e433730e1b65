/**
 * The flash against QEMU's: the same commands, programs, erases and loads, as drivers make them but with random places, widths and
 * values, go to a bank of ours and through qtest to one of QEMU's `virt`; every load must answer the same, and in the end the
 * whole of what was touched must be the same.
 *
 * Left out, because ours is as real chips are and QEMU's is not, and no driver asks: whether an erase has begun, or failed, before
 * it was confirmed, and whether the chip is ready between "clear status" and the next program or erase (QEMU: no).
 */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { FlashDriver } from '../../test/drivers/flash-driver.js';
import { qemuSystemVersion } from '../../test/drivers/qemu-system.js';
import { type BusAccess, QtestMachine } from '../../test/drivers/qtest.js';
import { seededRandom } from '../../test/harness/mutations.js';
import { spec } from '../../test/harness/spec.js';
import { BANK_BYTES, BUFFER_BYTES, CFI_TABLE, SECTOR_BYTES } from './cfi-table.js';

const test = spec("flash against QEMU's");
/** Where `virt` has its second bank. */
const BANK_AT = 0x0400_0000;
const ROUNDS = 2_000;
const SEED = Number(process.env['WURLEY_SEED'] ?? 0xcf1);
/** Few sectors, so that what one command leaves is seen by others. */
const SECTORS = [0, 1, 7, BANK_BYTES / SECTOR_BYTES - 1];

const BATCH = 4_096;
const hex = (value: number): string => `0x${value.toString(16)}`;

type Access = Omit<BusAccess, 'address'> & { readonly offset: number };

/** Commands as drivers give them, a list of accesses each. */
class Generator {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
  pick<T>(list: readonly T[]): T {
    const value = list[this.below(list.length)];
    if (value === undefined) throw new Error('nothing to pick from');
    return value;
  }

  /** An aligned place in one of the sectors. */
  place(bytes: number): number {
    const sector = this.pick(SECTORS) * SECTOR_BYTES;
    const near = this.pick([0, SECTOR_BYTES - BUFFER_BYTES, this.below(SECTOR_BYTES)]) + this.below(64);
    return sector + Math.min(near - (near % bytes), SECTOR_BYTES - bytes);
  }
  load(): Access {
    const bytes = this.pick([1, 2, 4]);
    return { offset: this.place(bytes), bytes };
  }
  /** To one chip or to both, at any address. */
  command(code: number, offset = this.place(4)): Access {
    return {
      offset,
      ...this.pick([
        { bytes: 4, value: (code << 16) | code },
        { bytes: 2, value: code },
        { bytes: 1, value: code },
      ]),
    };
  }
  #loads(): Access[] {
    return Array.from({ length: this.below(4) }, () => this.load());
  }
  store(offset: number, bytes: number): Access {
    return { offset, bytes, value: this.below(2 ** (8 * bytes)) };
  }

  readonly #kinds: readonly (() => Access[])[] = [
    () => [this.command(0x70), ...this.#loads()],
    () => [this.command(0x50), this.command(0x40), this.store(this.place(4), 4), ...this.#loads()],
    () => [this.command(0x90), ...this.#loads(), { offset: this.below(4) * 4, bytes: 4 }],
    () => [
      this.command(0x98, 0x55 * 4),
      ...this.#loads(),
      { offset: this.below(CFI_TABLE.length + 8) * 4, bytes: this.pick([1, 2, 4]) },
      this.command(0xff),
    ],
    () => {
      const bytes = this.pick([1, 2, 4]);
      return [
        this.command(this.pick([0x10, 0x40])),
        ...this.#loads(),
        this.store(this.place(bytes), bytes),
        ...this.#loads(),
      ];
    },
    () => {
      const offset = this.place(4);
      return [this.command(0x20, offset), this.command(0xd0, offset), ...this.#loads()];
    },
    () => [this.command(0x60), ...this.#loads(), this.command(this.pick([0x01, 0xd0, 0xff])), ...this.#loads()],
    () => this.#bufferedWrite(),
    () => [this.command(this.pick([0x00, 0xf0, 0xff, 0xaa])), ...this.#loads()],
  ];

  #bufferedWrite(): Access[] {
    const place = this.place(4);
    const block = place - (place % BUFFER_BYTES);
    const bytes = this.pick([1, 2, 4]);
    const count = 1 + this.below(40);
    const stores = Array.from({ length: count }, () =>
      this.store(block + this.below(BUFFER_BYTES / bytes) * bytes, bytes),
    );
    const counter = { offset: block, bytes: 4, value: ((count - 1) << 16) | (count - 1) };
    return [
      this.command(0xe8, place),
      ...this.#loads(),
      counter,
      ...stores,
      this.command(0xd0, block),
      ...this.#loads(),
    ];
  }

  /** The next command with what belongs to it, then mostly back to the array. */
  round(): Access[] {
    const accesses = this.pick(this.#kinds)();
    return this.below(3) > 0 ? [...accesses, this.command(0xff), ...this.#loads(), this.load()] : accesses;
  }
}

const said = (list: readonly Access[], upTo: number): string =>
  list
    .slice(Math.max(0, upTo - 30), upTo + 1)
    .map(
      ({ offset, bytes, value }) =>
        `${value === undefined ? 'load' : 'store'}${bytes} ${offset.toString(16)} ${value?.toString(16) ?? ''}`,
    )
    .join('\n');

/** What both answer to the same accesses: the first load that differs, or a place of the array, as a sentence. */
async function difference(machine: QtestMachine, flash: FlashDriver, seed: number): Promise<string | undefined> {
  const generator = new Generator(seed);
  const accesses = Array.from({ length: ROUNDS }, () => generator.round()).flat();
  // The first takes a half-made command back, the second goes back to the array.
  accesses.push(generator.command(0xff, 0), generator.command(0xff, 0));
  const theirs: number[] = [];
  for (let at = 0; at < accesses.length; at += BATCH) {
    const part = accesses.slice(at, at + BATCH);
    theirs.push(...(await machine.access(part.map(({ offset, ...more }) => ({ address: BANK_AT + offset, ...more })))));
  }
  for (const [n, { offset, bytes, value }] of accesses.entries()) {
    if (value !== undefined) {
      flash.write(offset, bytes, value);
      continue;
    }
    const ours = flash.read(offset, bytes);
    if (ours !== theirs[n])
      return `seed ${seed}, access ${n}: ${hex(ours)}, QEMU ${hex(theirs[n] ?? -1)} after\n${said(accesses, n)}`;
  }
  for (const sector of SECTORS) {
    const at = sector * SECTOR_BYTES;
    const content = await machine.content(BANK_AT + at, SECTOR_BYTES);
    const odd = content.findIndex((byte, n) => byte !== flash.array[at + n]);
    if (odd >= 0)
      return `seed ${seed}, content at ${hex(at + odd)}: ${hex(flash.array[at + odd] ?? -1)}, QEMU ${hex(content[odd] ?? -1)}`;
  }
  return undefined;
}

if (qemuSystemVersion() === undefined) test.skip("flash against QEMU's", 'qemu-system-aarch64 is not installed');
else {
  for (const isWritable of [true, false]) {
    test(
      `answers and content are the same after random commands, ${isWritable ? 'writable' : 'read-only'}`,
      async () => {
        const folder = mkdtempSync(join(tmpdir(), 'wurley-flash-'));
        const file = join(folder, 'bank');
        writeFileSync(file, '');
        truncateSync(file, BANK_BYTES);
        const readOnly = ['-drive', `if=pflash,unit=1,format=raw,readonly=on,file=${file}`];
        const machine = await QtestMachine.start(isWritable ? [] : readOnly);
        try {
          const found = await difference(machine, new FlashDriver({ isWritable }), SEED);
          assert.is(found, undefined);
        } finally {
          await machine.end();
          rmSync(folder, { recursive: true, force: true });
        }
      },
      { deadlineMs: 240_000 },
    );
  }
}
test.run();
