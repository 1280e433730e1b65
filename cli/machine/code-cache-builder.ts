/**
 * Compiles what a machine's vCPUs noted, as a process of its own: `node code-cache-builder.js FILE.todo`. It runs at the
 * lowest priority after the machine has ended; if it dies, or another one is at work, nothing is lost but time.
 */

import { closeSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { dirname, join } from 'node:path';
import { deserialize } from 'node:v8';
import { Decoder } from '../../cpu/decode/decoder.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';
import { savedIndex } from '../../cpu/jit/saved-code.js';
import { scanModule } from '../../cpu/jit/scanner/scan-module.js';
import { translateRegions } from '../../cpu/jit/translate.js';
import { type BuildOrder, trimFolder } from './code-cache.js';
import { chooseRegions } from './code-cache-choice.js';
import { codeFile, isOurs, putFile } from './code-cache-file.js';
import { loadInterpreter } from './interpreter-cache.js';
import { serialisedOf, useGuestFlags, whole } from './native-modules.js';

/** A lock older than this belongs to a builder that was killed. */
const LOCK_MS = 10 * 60_000;
const PAGE_BYTES = 4096;

async function build(order: BuildOrder): Promise<void> {
  // V8 compares its flags when it reads the volume: they must have gone the same way as in the machine's process.
  await loadInterpreter(order.interpreterFolder);
  useGuestFlags();
  const memory = new Uint8Array(order.pages.length * PAGE_BYTES);
  order.pages.forEach(({ bytes }, n) => {
    memory.set(bytes.subarray(0, PAGE_BYTES), n * PAGE_BYTES);
  });
  const view = new DataView(memory.buffer);
  const decoder = new Decoder(INSTRUCTIONS);
  const batch = translateRegions(chooseRegions(view, decoder, order.pages));
  if (batch === undefined || !scanModule(batch.bytes).ok) return;
  const regions = batch.regions.map(({ host, offset, name, code }) => {
    return { number: Number(name.slice(1)), offset, word: view.getUint32(host + offset, true), code };
  });
  const native = whole((serialise) => serialisedOf(new WebAssembly.Module(batch.bytes), serialise));
  if (native === undefined) return;
  putFile(order.path, codeFile(savedIndex(regions), batch.bytes, native));
}

async function main(todo: string): Promise<void> {
  setPriority(constants.priority.PRIORITY_LOW);
  const folder = dirname(todo);
  const lock = join(folder, 'building.lock');
  try {
    if (!isOurs(folder, 'folder') || !isOurs(todo, 'file')) return;
    if (Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()) > LOCK_MS) rmSync(lock);
    closeSync(openSync(lock, 'wx', 0o600));
  } catch {
    rmSync(todo, { force: true });
    return;
  }
  try {
    // WHY: the file is the user's own, just written by openCodeCache of this build.
    await build(deserialize(readFileSync(todo)) as BuildOrder);
    rmSync(todo, { force: true });
    trimFolder(folder);
  } finally {
    rmSync(todo, { force: true });
    rmSync(lock, { force: true });
  }
}

const [, , todo] = process.argv;
if (todo !== undefined) await main(todo);
