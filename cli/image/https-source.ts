/**
 * Packages from a Debian mirror over HTTPS, for hosts without apt. The chain of trust is Debian's: InRelease is signed
 * (checked by gpgv where that and the keyring are installed), it lists the index's SHA-256, the index lists the package's.
 */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ok, type Result } from '../../bus/result.js';
import { type BootFault, refuse } from '../../devices/machine/boot-fault.js';
import { KEYRING } from './apt-source.js';
import type { Suite } from './catalog.js';
import { type PackageRecord, parseIndex } from './package-index.js';
import { mirrorOf, type PackageSource, type Report, sha256OfFile } from './package-source.js';
import { isExpired, isOfSuite, releaseEntry, signedText } from './release-file.js';
import { runProgram } from './run-program.js';
import { hostUnpackers } from './unpackers.js';
import { getFromWeb } from './web-request.js';

const MIB = 1024 * 1024;
const INDEX_PATH = 'main/binary-arm64/Packages.xz';
const LIMITS = { releaseBytesMax: 4 * MIB, indexBytesMax: 64 * MIB, unpackedIndexBytesMax: 256 * MIB } as const;
/** A mirror that says nothing for this long is given up on. */
const SILENCE_MS_MAX = 60_000;

/** An index that was checked: its text and the archive it belongs to. */
interface CheckedIndex {
  readonly base: Suite['base'];
  readonly text: string;
}

const reasonOf = (thrown: unknown): string => {
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? `: ${thrown.cause.message}` : '';
  return `${thrown instanceof Error ? thrown.message : String(thrown)}${cause}`.replaceAll(/\s+/g, ' ').slice(0, 200);
};

/** Whether an answer brings what was asked for. */
const isSuccess = ({ statusCode = 0 }: IncomingMessage): boolean => statusCode >= 200 && statusCode < 300;

/** Fetches a whole small file of at most `limitBytes`. */
async function fetchBytes(
  env: NodeJS.ProcessEnv,
  url: string,
  limitBytes: number,
  onBytes: (bytes: number) => void,
): Promise<Result<Uint8Array, BootFault>> {
  try {
    const response = await getFromWeb(url, { env, signal: AbortSignal.timeout(SILENCE_MS_MAX * 5) });
    if (!isSuccess(response)) return refuseAnswer(url, response);
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
      bytes += chunk.byteLength;
      if (bytes > limitBytes) return refuse(url, 'answer', `is longer than the ${limitBytes} bytes expected`);
      chunks.push(chunk);
      onBytes(bytes);
    }
    return ok(Buffer.concat(chunks));
  } catch (thrown) {
    return refuse(url, 'network', reasonOf(thrown));
  }
}

function refuseAnswer(url: string, response: IncomingMessage): Result<never, BootFault> {
  response.destroy();
  return refuse(url, 'answer', `is ${response.statusCode} ${response.statusMessage}`);
}

/** Packages over HTTPS; `folder` holds what gpgv is to read. `now` is milliseconds since the epoch. */
export function httpsSource(folder: string, env: NodeJS.ProcessEnv, now: () => number): PackageSource {
  const mirror = mirrorOf(env, 'https');
  const indexes: CheckedIndex[] = [];
  const owners = new Map<string, Suite['base']>();
  let isSigned = true;

  /** Checks the signature of `file` with gpgv; remembers when that could not be done. */
  async function checkSignature(file: string): Promise<Result<undefined, BootFault>> {
    const hasKeyring = (await stat(KEYRING).catch(() => undefined)) !== undefined;
    const run = hasKeyring ? await runProgram('gpgv', ['--keyring', KEYRING, file]) : undefined;
    if (run === undefined || run.code === -1) {
      isSigned = false;
      // Over plain HTTP anyone on the way could have written the file.
      return mirror.startsWith('https:')
        ? ok()
        : refuse(mirror, 'signature', 'cannot be checked without gpgv and debian-archive-keyring');
    }
    return run.code === 0 ? ok() : refuse(file, 'signature', 'is not by a Debian archive key');
  }

  async function refreshSuite({ base, suite }: Suite, report: Report): Promise<Result<undefined, BootFault>> {
    const root = `${mirror}/${base}/dists/${suite}`;
    const inRelease = await fetchBytes(env, `${root}/InRelease`, LIMITS.releaseBytesMax, () => undefined);
    if (!inRelease.ok) return inRelease;
    const file = join(folder, `${suite}.InRelease`);
    await writeFile(file, inRelease.value);
    const signature = await checkSignature(file);
    if (!signature.ok) return signature;
    const release = signedText(Buffer.from(inRelease.value).toString('utf8'));
    if (release === undefined || !isOfSuite(release, suite))
      return refuse(`${root}/InRelease`, 'content', `is not the signed index of ${suite}`);
    if (isExpired(release, now()))
      return refuse(`${root}/InRelease`, 'Valid-Until', 'is past: the mirror is out of date');
    const entry = releaseEntry(release, INDEX_PATH);
    if (entry === undefined || entry.sizeBytes > LIMITS.indexBytesMax)
      return refuse(`${root}/InRelease`, INDEX_PATH, 'is not listed');
    const what = `reading the package list of ${suite}`;
    const url = `${root}/main/binary-arm64/by-hash/SHA256/${entry.sha256}`;
    const packed = await fetchBytes(env, url, entry.sizeBytes, (bytes) => report(what, bytes / entry.sizeBytes));
    if (!packed.ok) return packed;
    if (createHash('sha256').update(packed.value).digest('hex') !== entry.sha256)
      return refuse(url, 'SHA256', 'is not the one in InRelease');
    const text = await hostUnpackers.xz(packed.value, LIMITS.unpackedIndexBytesMax);
    if (!text.ok) return refuse(url, 'xz data', text.error);
    indexes.push({ base, text: Buffer.from(text.value).toString('utf8') });
    return ok();
  }

  /** Appends to `part` from where it ends. */
  async function fetchRest(
    url: string,
    part: string,
    record: PackageRecord,
    report: Report,
  ): Promise<Result<undefined, BootFault>> {
    const have = (await stat(part).catch(() => undefined))?.size ?? 0;
    const start = have < record.sizeBytes ? have : 0;
    try {
      const controller = new AbortController();
      const headers: Record<string, string> = start > 0 ? { range: `bytes=${start}-` } : {};
      const response = await getFromWeb(url, { env, headers, signal: controller.signal });
      if (!isSuccess(response)) return refuseAnswer(url, response);
      let done = response.statusCode === 206 ? start : 0;
      const flags = done > 0 ? 'a' : 'w';
      let silence = setTimeout(() => controller.abort(), SILENCE_MS_MAX);
      const meter = new Transform({
        transform(chunk: Buffer, _encoding, next) {
          clearTimeout(silence);
          silence = setTimeout(() => controller.abort(), SILENCE_MS_MAX);
          done += chunk.byteLength;
          report(`fetching ${record.name}`, done / record.sizeBytes);
          next(done > record.sizeBytes ? new Error('the file is longer than the index says') : null, chunk);
        },
      });
      await pipeline(response, meter, createWriteStream(part, { flags })).finally(() => clearTimeout(silence));
      return ok();
    } catch (thrown) {
      return refuse(url, 'network', reasonOf(thrown));
    }
  }

  return {
    kind: 'https',
    caveat: () => (isSigned ? undefined : 'signatures were not checked: gpgv or debian-archive-keyring is missing'),

    async refresh(suites: readonly Suite[], report: Report): Promise<Result<undefined, BootFault>> {
      await mkdir(folder, { recursive: true });
      for (const suite of suites) {
        const refreshed = await refreshSuite(suite, report);
        if (!refreshed.ok) return refreshed;
      }
      return ok();
    },

    async find(names: readonly string[]): Promise<Result<readonly PackageRecord[], BootFault>> {
      const wanted = new Set(names);
      const records = indexes.flatMap(({ base, text }) => {
        const found = parseIndex(text, wanted);
        for (const record of found) owners.set(record.sha256, base);
        return found;
      });
      return records.length > 0 ? ok(records) : refuse(mirror, names.join(' '), 'is in none of the package lists');
    },

    async all(): Promise<Result<readonly PackageRecord[], BootFault>> {
      return ok(
        indexes.flatMap(({ base, text }) => {
          const found = parseIndex(text);
          for (const record of found) owners.set(record.sha256, base);
          return found;
        }),
      );
    },

    download,

    async downloadAll(records, pathOf, report): Promise<Result<undefined, BootFault>> {
      const total = records.reduce((sum, record) => sum + record.sizeBytes, 0);
      let before = 0;
      for (const record of records) {
        const start = before;
        const share = (what: string, fraction = 0): void => report(what, (start + fraction * record.sizeBytes) / total);
        const done = await download(record, pathOf(record), share);
        if (!done.ok) return done;
        before += record.sizeBytes;
      }
      return ok();
    },
  };

  async function download(record: PackageRecord, path: string, report: Report): Promise<Result<undefined, BootFault>> {
    const url = `${mirror}/${owners.get(record.sha256) ?? 'debian'}/${record.filename}`;
    const part = `${path}.part`;
    await mkdir(dirname(path), { recursive: true });
    const fetched = await fetchRest(url, part, record, report);
    if (!fetched.ok) return fetched;
    if ((await sha256OfFile(part)) !== record.sha256) {
      // Keeping it would make every later attempt continue a wrong file.
      await rm(part, { force: true });
      return refuse(url, 'SHA256', 'is not the one in the signed index');
    }
    await rename(part, path);
    return ok();
  }
}
