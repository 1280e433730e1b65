/**
 * The translation cache on disk: what a machine's vCPUs found worth compiling is compiled after the machine has ended, by
 * a process of its own at the lowest priority, and a later machine that boots the same thing has it from its first
 * instruction. Every file may be deleted at any moment. See docs/adr/0051.
 */
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { serialize } from 'node:v8';
import type { JournalPage } from '../../cpu/jit/code-journal.js';
import type { SavedVolume } from '../../cpu/jit/saved-code.js';
import { MEMO_BYTES } from '../../cpu/state.js';
import type { BootPlan } from '../../devices/machine/boot-plan.js';
import { cacheFolder } from '../cache-folder.js';
import {
  type CodeFileParts,
  isOurs,
  makeOwnFolder,
  putFile,
  readCodeFile,
  readRecordsFile,
  volumeOf,
} from './code-cache-file.js';
import { nativeKey } from './native-modules.js';

/** Volumes that a workload has beside its image's first one; each run that finds enough new code adds one. */
const VOLUMES_MAX = 7;
/**
 * Entry points that make a volume worth its process. A further one is small (INSTRUCTIONS_MAX of code-cache-choice.ts), and what had to be
 * compiled although there was a cache comes first, so that the next machine has nothing left to compile.
 */
export const NEW_ENTRIES_MIN = { first: 32, more: 64 } as const;
/** Bytes of the boot image that tell workloads apart. A confusion costs time, nothing else. */
const SAMPLE_BYTES = 64 << 10;
const BUILDER = fileURLToPath(new URL('./code-cache-builder.js', import.meta.url));

/** A volume's place. */
export interface VolumePlace {
  readonly path: string;
  /** Whether it is the first one of an image or of a workload: that may be large. */
  readonly isFirst: boolean;
}

/** What a builder is to do, as it stands in a `.todo` file. */
export interface BuildOrder {
  /** Where what the workload loads lies: the new volume goes where none is by then. */
  readonly volumes: readonly VolumePlace[];
  readonly pages: readonly JournalPage[];
  /** Where what the interpreter knew of instruction words is kept, and that. */
  readonly records: { readonly path: string; readonly table: Uint8Array };
}

/** The cache as one machine uses it. */
export interface CodeCache {
  /** Begins to read what is loaded first, if that has not begun. */
  begin(): void;
  /** What the interpreter knew of instruction words, for processor 0 to go on in: zeros where nothing was kept. Read once. */
  records(): Promise<SharedArrayBuffer>;
  /**
   * What is there, as modules; to be called once. The image's first volume comes as soon as it can: a guest that begins is interpreted
   * until then. What cannot be read is not there.
   */
  load(): AsyncIterable<readonly SavedVolume[]>;
  /** Has what was noted compiled for the next machine, if it is enough; never throws, never waits. */
  keep(pages: readonly JournalPage[]): void;
}

const nameOf = (bytes: Uint8Array): string =>
  createHash('sha256').update(`${bytes.length};`).update(bytes.subarray(0, SAMPLE_BYTES)).digest('hex').slice(0, 12);

/**
 * Names of what is booted: the image the first instruction is in, and with it the initial RAM disk, which says what is run on it; each by
 * length and beginning.
 */
function workloadKeys({ placements, entry }: BootPlan): { readonly image: string; readonly workload: string } {
  const booted = placements.find(({ ipa, bytes }) => entry >= ipa && entry < ipa + bytes.length);
  const image = nameOf(booted?.bytes ?? new Uint8Array());
  const initrd = placements.find(({ what }) => what === 'initrd');
  return { image, workload: `${image}-${initrd === undefined ? 'alone' : nameOf(initrd.bytes)}` };
}

/** Whether the cache's folder, made if need be, is the user's: a cache that cannot be used is none. */
function isUsableFolder(folder: string): boolean {
  try {
    makeOwnFolder(folder);
    return isOurs(folder, 'folder');
  } catch {
    return false;
  }
}

/** Opens the cache below `cacheFolder` for a machine that boots `plan`. After findHostFeatures. */
export function openCodeCache(cacheFolder: string, plan: BootPlan): CodeCache {
  const folder = join(cacheFolder, 'code');
  const { image, workload } = workloadKeys(plan);
  const inFolder = (name: string): string => join(folder, `${nativeKey()}-${name}`);
  const own = (_: unknown, n: number): VolumePlace => ({ path: inFolder(`${workload}-${n}.code`), isFirst: n === 0 });
  const imagePath = inFolder(`${image}.code`);
  const places = [{ path: imagePath, isFirst: true }, ...Array.from({ length: VOLUMES_MAX }, own)];
  const recordsPath = inFolder(`${image}.records`);
  const table = new SharedArrayBuffer(MEMO_BYTES);
  let known = 0;
  let usable: boolean | undefined;
  const isUsable = (): boolean => (usable ??= isUsableFolder(folder));
  let readingRecords: Promise<boolean> | undefined;
  let reading: Promise<CodeFileParts | undefined> | undefined;
  const read = async (): Promise<CodeFileParts | undefined> => (isUsable() ? await readCodeFile(imagePath) : undefined);
  const modulesOf = (parts: CodeFileParts | undefined): readonly SavedVolume[] => {
    const volume = parts && volumeOf(parts);
    if (volume === undefined) return [];
    known++;
    return [volume];
  };
  return {
    begin() {
      reading ??= read();
    },
    async records() {
      if (isUsable()) await (readingRecords ??= readRecordsFile(recordsPath, new Uint8Array(table)));
      return table;
    },
    async *load() {
      reading ??= read();
      yield modulesOf(await reading);
      if (!isUsable()) return;
      const others: SavedVolume[] = [];
      // One after the other: this thread has a console to serve meanwhile.
      for (const { path } of places.slice(1)) others.push(...modulesOf(await readCodeFile(path)));
      yield others;
    },
    keep(pages) {
      const entries = pages.reduce((sum, { warm, hot }) => sum + warm.length + hot.length, 0);
      if (!isUsable() || known === places.length) return;
      if (entries < (known === 0 ? NEW_ENTRIES_MIN.first : NEW_ENTRIES_MIN.more)) return;
      try {
        const records = { path: recordsPath, table: new Uint8Array(table).slice() };
        startBuilder(folder, { volumes: places, pages, records });
      } catch {
        // Then the next run is as slow as this one.
      }
    },
  };
}

/** Where the user's cache lies; undefined where WURLEY_CODE_CACHE=off in the environment. */
export function codeCacheFolder(): string | undefined {
  return process.env['WURLEY_CODE_CACHE'] === 'off' ? undefined : cacheFolder();
}

/** Orders of this process: VMs of a lab may end in the same millisecond. */
let orders = 0;

function startBuilder(folder: string, order: BuildOrder): void {
  const todo = join(folder, `${process.pid}-${Date.now()}-${orders++}-${nativeKey()}.todo`);
  putFile(todo, [serialize(order)]);
  const { spawn } = process.getBuiltinModule('node:child_process');
  const child = spawn(process.execPath, [BUILDER, todo], { detached: true, stdio: 'ignore' });
  child.on('error', () => rmSync(todo, { force: true }));
  child.unref();
}
