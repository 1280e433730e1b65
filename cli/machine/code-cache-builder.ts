/**
 * Compiles what machines' vCPUs noted, as a process of its own: `node code-cache-builder.js FILE.todo`. It runs at the lowest
 * priority after the machine has ended. One works at a time: whoever finds another at work leaves it his order, and who works
 * looks for more before he goes. If it dies nothing is lost but time.
 */

import { closeSync, openSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { deserialize } from 'node:v8';
import { Decoder } from '../../cpu/decode/decoder.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';
import type { JournalPage } from '../../cpu/jit/code-journal.js';
import { findSaved, savedIndex } from '../../cpu/jit/saved-code.js';
import type { PlacedRegion } from '../../cpu/jit/translate.js';
import { translateAccepted } from '../../cpu/jit/translate-accepted.js';
import { type BuildOrder, NEW_ENTRIES_MIN, type VolumePlace } from './code-cache.js';
import { chooseRegions, INSTRUCTIONS_MAX } from './code-cache-choice.js';
import { codeFile, isOurs, putFile, readCodeFile, recordsFile, trimFolder, volumeOf } from './code-cache-file.js';
import { findHostFeatures, serialisedOf, useGuestFlags, whole } from './native-modules.js';

/** A lock older than this belongs to a builder that was killed. */
const LOCK_MS = 10 * 60_000;
/** An order older than this was left behind by one. */
const ORDER_MS = 60 * 60_000;
const PAGE_BYTES = 4096;
/** An image's and a workload's. */
const FIRST_VOLUMES = 2;

async function build({ volumes, pages, records }: BuildOrder): Promise<void> {
  // What code depends on must be known as in the machine's process.
  findHostFeatures();
  useGuestFlags();
  const memory = new Uint8Array(pages.length * PAGE_BYTES);
  pages.forEach(({ bytes }, n) => {
    memory.set(bytes.subarray(0, PAGE_BYTES), n * PAGE_BYTES);
  });
  const view = new DataView(memory.buffer);
  // What an image's volume has no room for goes into the workload's at once.
  const there = await whatIsThere(volumes);
  let made = buildVolume(there, pages, view);
  if (made === 'nothing') return;
  for (let n = 1; n < FIRST_VOLUMES && made === 'full'; n++) made = buildVolume(there, pages, view);
  putFile(records.path, recordsFile(records.table));
}

/** Makes one volume of what none has, if that is enough; `full`: it is a first one, and there may be more than it has room for. */
function buildVolume(
  { free: places, known }: Volumes,
  pages: readonly JournalPage[],
  view: DataView,
): 'nothing' | 'made' | 'full' {
  const free = places.shift();
  if (free === undefined) return 'nothing';
  const most = free.isFirst ? INSTRUCTIONS_MAX.first : INSTRUCTIONS_MAX.more;
  const chosen = chooseRegions(view, new Decoder(INSTRUCTIONS), pages, most, (placed) => isThere(placed, view, known));
  const entries = chosen.reduce((sum, { region }) => sum + region.entries.length, 0);
  if (known.length > 0 && entries < NEW_ENTRIES_MIN.more) return 'nothing';
  const { batch } = translateAccepted(chosen);
  if (batch === undefined) return 'nothing';
  const regions = batch.regions.map(({ host, offset, name, code }) => {
    return { number: Number(name.slice(1)), offset, word: view.getUint32(host + offset, true), code };
  });
  const native = serialisedOf(whole(() => new WebAssembly.Module(batch.bytes)));
  if (native === undefined) return 'nothing';
  const index = savedIndex(regions);
  putFile(free.path, codeFile(index, batch.bytes, native));
  known.push(index);
  const instructions = chosen.reduce((sum, { region }) => sum + region.size, 0);
  return free.isFirst && instructions >= most ? 'full' : 'made';
}

/** The indexes of the volumes that can be used, and the places of those that cannot. */
interface Volumes {
  readonly free: VolumePlace[];
  readonly known: Uint32Array[];
}

/** A machine that ended at the same time may have brought the same code. */
async function whatIsThere(places: readonly VolumePlace[]): Promise<Volumes> {
  const free: VolumePlace[] = [];
  const known: Uint32Array[] = [];
  for (const place of places) {
    const parts = await readCodeFile(place.path);
    const volume = parts && volumeOf(parts);
    if (volume === undefined) free.push(place);
    else known.push(volume.index);
  }
  return { free, known };
}

/** Whether some volume has the code for every entry point of a region. */
function isThere({ host, region }: PlacedRegion, view: DataView, known: readonly Uint32Array[]): boolean {
  return region.entries.every((offset) =>
    known.some((index) => findSaved(index, view, host, offset, view.getUint32(host + offset, true)) >= 0),
  );
}

/** Which build an order is of, from its file's name (code-cache.ts): another build would make other code of it. */
const buildOf = (name: string): string => name.split('-').slice(3).join('-');

/** The order of build `build` that has waited in the folder; undefined when there is none. Others go when they are too old. */
function nextOrder(folder: string, build: string): string | undefined {
  const names = readdirSync(folder).filter((file) => file.endsWith('.todo'));
  for (const name of names) if (buildOf(name) !== build && isTooOld(join(folder, name))) rmSync(join(folder, name));
  const [name] = names.filter((file) => buildOf(file) === build).sort();
  return name === undefined ? undefined : join(folder, name);
}

const isTooOld = (todo: string): boolean =>
  Date.now() - (statSync(todo, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()) > ORDER_MS;

/** Carries an order out and removes it, whatever comes of it. */
async function carryOut(todo: string): Promise<void> {
  try {
    if (!isOurs(todo, 'file') || isTooOld(todo)) return;
    // WHY: the file is the user's own, written by openCodeCache; one of another build is refused by what it lacks.
    await build(deserialize(readFileSync(todo)) as BuildOrder);
    trimFolder(dirname(todo));
  } catch {
    // Then the next run is as slow as this one; the orders behind it are carried out all the same.
  } finally {
    rmSync(todo, { force: true });
  }
}

/** Whether this process is the one that works now. */
function takeLock(lock: string): boolean {
  try {
    if (Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()) > LOCK_MS) rmSync(lock);
    closeSync(openSync(lock, 'wx', 0o600));
    return true;
  } catch {
    return false;
  }
}

async function main(folder: string, build: string): Promise<void> {
  setPriority(constants.priority.PRIORITY_LOW);
  if (!isOurs(folder, 'folder')) return;
  const lock = join(folder, `building-${build.replace(/todo$/, 'lock')}`);
  // An order lies there before its process looks at the lock. So it is seen by the holder, who looks again after letting go, or
  // the lock is free when its own process wants it.
  while (nextOrder(folder, build) !== undefined && takeLock(lock)) {
    try {
      for (let todo = nextOrder(folder, build); todo !== undefined; todo = nextOrder(folder, build))
        await carryOut(todo);
    } finally {
      rmSync(lock, { force: true });
    }
  }
}

const [, , todo] = process.argv;
if (todo !== undefined) await main(dirname(todo), buildOf(basename(todo)));
