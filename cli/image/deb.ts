/** Reads chosen files out of a Debian package (deb(5)) as a stream: memory holds the chosen files, never the package's tree. */
import { DecompressionStream, ReadableStream } from 'node:stream/web';
import { createTarDecoder } from 'modern-tar';
import { ok, type Result } from '../../bus/result.js';
import { type BootFault, refuse } from '../../devices/machine/boot-fault.js';
import { readAr } from './ar.js';
import { hostUnpackers, xzStream } from './unpackers.js';

/** A chosen file. `path` has no leading `./`. */
export interface PackagedFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

const MIB = 1024 * 1024;
/** The non-cloud kernel unpacks to about 500 MiB in 5,000 files. */
const LIMITS = {
  unpackedBytesMax: 2048 * MIB,
  entriesMax: 60_000,
  fileBytesMax: 256 * MIB,
  chosenBytesMax: 768 * MIB,
} as const;

/** Empty chunks in a row after which a decompressor is taken to be stuck. */
const IDLE_CHUNKS_MAX = 64;

/** The data member as a stream of tar bytes. */
async function dataStream(file: string, bytes: Uint8Array): Promise<Result<ReadableStream<Uint8Array>, BootFault>> {
  const members = readAr(file, bytes);
  if (!members.ok) return members;
  const [format, , ...rest] = members.value;
  if (format?.name !== 'debian-binary' || !String.fromCharCode(...format.bytes.subarray(0, 4)).startsWith('2.'))
    return refuse(file, 'debian-binary', 'is missing or not version 2');
  const data = rest.find((member) => member.name.startsWith('data.tar'));
  if (data === undefined) return refuse(file, 'data.tar', 'is missing');
  const packed = new Blob([new Uint8Array(data.bytes)]).stream();
  if (data.name === 'data.tar.xz') return ok(xzStream(packed));
  if (data.name === 'data.tar') return ok(packed);
  if (data.name === 'data.tar.gz') return ok(packed.pipeThrough(new DecompressionStream('gzip')));
  if (data.name !== 'data.tar.zst') return refuse(file, data.name, 'is compressed in a way not known here');
  const unpacked = await hostUnpackers.zstd(data.bytes, LIMITS.unpackedBytesMax);
  return unpacked.ok
    ? ok(new Blob([new Uint8Array(unpacked.value)]).stream())
    : refuse(file, data.name, unpacked.error);
}

/** Thrown inside the tar loop to leave it; never leaves this module. */
class Refusal extends Error {
  readonly field: string;
  constructor(field: string, reason: string) {
    super(reason);
    this.field = field;
  }
}

/** Passes bytes through, counting them; refuses more than the limit and streams that stop making progress. */
async function* limited(source: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  let idle = 0;
  for await (const chunk of source) {
    bytes += chunk.byteLength;
    if (bytes > LIMITS.unpackedBytesMax) throw new Refusal('data.tar', 'unpacks to more than 2 GiB');
    idle = chunk.byteLength === 0 ? idle + 1 : 0;
    if (idle > IDLE_CHUNKS_MAX) throw new Refusal('data.tar', 'is damaged: the data ends too early');
    if (chunk.byteLength > 0) yield chunk;
  }
}

/** Reads a whole tar member of `sizeBytes`. */
async function readBody(path: string, body: ReadableStream<Uint8Array>, sizeBytes: number): Promise<Uint8Array> {
  if (sizeBytes > LIMITS.fileBytesMax) throw new Refusal(path, 'is larger than 256 MiB');
  const out = new Uint8Array(sizeBytes);
  let at = 0;
  for await (const chunk of body) {
    if (at + chunk.byteLength > sizeBytes) throw new Refusal(path, 'is longer than its header says');
    out.set(chunk, at);
    at += chunk.byteLength;
  }
  if (at !== sizeBytes) throw new Refusal(path, 'is cut off');
  return out;
}

/** The regular files of package `file` whose path `choose` accepts. */
export async function readDeb(
  file: string,
  bytes: Uint8Array,
  choose: (path: string) => boolean,
): Promise<Result<readonly PackagedFile[], BootFault>> {
  const stream = await dataStream(file, bytes);
  if (!stream.ok) return stream;
  const chosen: PackagedFile[] = [];
  let chosenBytes = 0;
  let entries = 0;
  try {
    for await (const entry of ReadableStream.from(limited(stream.value)).pipeThrough(createTarDecoder())) {
      if (++entries > LIMITS.entriesMax) throw new Refusal('data.tar', `has more than ${LIMITS.entriesMax} entries`);
      const path = entry.header.name.replace(/^(\.?\/)+/, '');
      const isFile = (entry.header.type ?? 'file') === 'file';
      if (!isFile || path.split('/').includes('..') || !choose(path)) {
        // Not cancel(): modern-tar 0.8.6 then may drop the body of the entry after this one.
        for await (const _ of entry.body);
        continue;
      }
      const content = await readBody(path, entry.body, entry.header.size);
      chosenBytes += content.byteLength;
      if (chosenBytes > LIMITS.chosenBytesMax) throw new Refusal('data.tar', 'has too much in the chosen files');
      chosen.push({ path, bytes: content });
    }
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    const field = thrown instanceof Refusal ? thrown.field : 'data.tar';
    return refuse(
      file,
      field,
      thrown instanceof Refusal ? reason : `is damaged: ${reason.replaceAll(/\s+/g, ' ').slice(0, 120)}`,
    );
  }
  return ok(chosen);
}
