/**
 * A 9P2000.L server for one client and one folder. Each message is read once, checked, carried out and answered before the
 * next one is looked at, so that a flush finds nothing to cancel. Data of reads and writes move between file and guest memory
 * without a copy. Whatever is wrong with a message is answered with an errno; only what cannot be answered is the driver's
 * fault. Handlers of names and attributes are in ninep-requests.ts.
 */
import type { FolderHandle } from '../../actors/runtime/folders.js';
import type { Chain } from '../virtio/chain.js';
import type { Handled } from '../virtio/virtio-device.js';
import { nameOf } from './fid-table.js';
import {
  ASK,
  DIALECT,
  ERROR_ANSWER,
  errnoOf,
  HEAD_BYTES,
  MessageReader,
  MessageWriter,
  UNKNOWN_DIALECT,
} from './ninep.wire.js';
import { REQUESTS } from './ninep-requests.js';
import { NinepSession, type Outcome, type Request } from './ninep-session.js';

/** Bytes of one message, at most; the client asks for fewer or gets this. */
export const MESSAGE_BYTES_MAX = 512 << 10;
/** A client that wants smaller messages cannot be served: an answer to getattr would not fit. */
const MESSAGE_BYTES_MIN = 512;
/** Bytes of a question other than a write: sixteen names of 255 bytes and a link's target fit. */
const QUESTION_BYTES_MAX = 16 << 10;
/** Bytes of an answer other than a read's. */
const ANSWER_BYTES_MAX = 64 << 10;
/** Size, type, tag, fid, offset and count before the data of a write. */
const WRITE_HEAD_BYTES = 23;
/** Size, type, tag and count before the data of a read's answer. */
const READ_HEAD_BYTES = 11;
/** Head and errno. */
const ERROR_BYTES = 11;

const scratch = new Uint8Array(QUESTION_BYTES_MAX);
const scratchView = new DataView(scratch.buffer);

/** See the head of this file. */
export class NinepServer {
  readonly #session: NinepSession;
  /** Questions answered, and how many with an error. */
  requests = 0;
  errors = 0;
  readonly #answer = new MessageWriter(ANSWER_BYTES_MAX);
  /** Bytes of one message, as agreed; 0: not agreed yet. */
  #messageBytes = 0;

  constructor(folder: FolderHandle) {
    this.#session = new NinepSession(folder);
  }

  /** Fids the client has, and files and listings it has open. */
  get counts(): { readonly fids: number; readonly open: number } {
    const { fids } = this.#session;
    return { fids: fids.size, open: fids.openCount };
  }

  /** Forgets the client: what it had open is closed. */
  end(): void {
    this.#session.fids.clear();
    this.#messageBytes = 0;
  }

  /** Answers the message in `chain`. */
  handle(chain: Chain): Handled {
    const head = scratch.subarray(0, Math.min(WRITE_HEAD_BYTES, chain.readableBytes));
    if (chain.writableBytes < ERROR_BYTES || !chain.read(0, head) || head.byteLength < HEAD_BYTES) return 'broken';
    const size = scratchView.getUint32(0, true);
    const type = scratchView.getUint8(4);
    const tag = scratchView.getUint16(5, true);
    if (size < HEAD_BYTES || size > chain.readableBytes) return 'broken';
    this.requests++;
    const limit = this.#messageBytes === 0 ? chain.writableBytes : Math.min(this.#messageBytes, chain.writableBytes);
    const answer = this.#answer;
    answer.begin(limit);
    if (this.#messageBytes === 0 && type !== ASK.version) return this.#refuse(chain, tag, 'EOPNOTSUPP');
    if (this.#messageBytes !== 0 && size > this.#messageBytes) return this.#refuse(chain, tag, 'EMSGSIZE');
    if (type === ASK.write) return this.#write(chain, size, tag);
    if (size > QUESTION_BYTES_MAX) return this.#refuse(chain, tag, 'EMSGSIZE');
    if (size > head.byteLength && !chain.read(head.byteLength, scratch.subarray(head.byteLength, size)))
      return 'broken';
    const ask = new MessageReader(scratch, HEAD_BYTES, size);
    if (type === ASK.read) return this.#read(chain, ask, tag, limit);
    const request: Request = { session: this.#session, ask, answer };
    const outcome = type === ASK.version ? this.#version(request) : (REQUESTS[type]?.(request) ?? undefined);
    if (type !== ASK.version && REQUESTS[type] === undefined) return this.#refuse(chain, tag, 'EOPNOTSUPP');
    if (!ask.isWhole) return this.#refuse(chain, tag, 'EINVAL');
    if (outcome !== undefined) return this.#refuse(chain, tag, outcome);
    if (answer.isFull) return this.#refuse(chain, tag, 'EMSGSIZE');
    const message = answer.finish(type + 1, tag);
    return chain.write(0, message) ? message.byteLength : 'broken';
  }

  #refuse(chain: Chain, tag: number, error: string): Handled {
    this.errors++;
    this.#answer.begin(ERROR_BYTES);
    this.#answer.u32(errnoOf(error));
    return chain.write(0, this.#answer.finish(ERROR_ANSWER, tag)) ? ERROR_BYTES : 'broken';
  }

  #version({ ask, answer }: Request): Outcome {
    const wanted = ask.u32();
    const dialect = ask.string();
    if (!ask.isWhole) return 'EINVAL';
    this.end();
    if (wanted < MESSAGE_BYTES_MIN) return 'EMSGSIZE';
    const isOurs = dialect === DIALECT;
    this.#messageBytes = isOurs ? Math.min(wanted, MESSAGE_BYTES_MAX) : 0;
    answer.u32(Math.min(wanted, MESSAGE_BYTES_MAX));
    answer.string(new TextEncoder().encode(isOurs ? DIALECT : UNKNOWN_DIALECT));
    return undefined;
  }

  #read(chain: Chain, ask: MessageReader, tag: number, limit: number): Handled {
    const file = this.#session.fids.get(ask.u32());
    const offset = Number(ask.u64());
    const count = Math.min(ask.u32(), limit - READ_HEAD_BYTES);
    if (!ask.isWhole) return this.#refuse(chain, tag, 'EINVAL');
    if (file?.listing !== undefined) return this.#refuse(chain, tag, 'EISDIR');
    if (file?.file === undefined) return this.#refuse(chain, tag, 'EBADF');
    if (!Number.isSafeInteger(offset + count)) return this.#refuse(chain, tag, 'EINVAL');
    const views = chain.writable(READ_HEAD_BYTES, count);
    if (views === undefined) return 'broken';
    const got = file.file.readInto(offset, views);
    if (!got.ok) return this.#refuse(chain, tag, nameOf(got.error));
    this.#answer.u32(got.value);
    const head = this.#answer.finish(ASK.read + 1, tag, got.value);
    return chain.write(0, head) ? READ_HEAD_BYTES + got.value : 'broken';
  }

  #write(chain: Chain, size: number, tag: number): Handled {
    if (size < WRITE_HEAD_BYTES) return this.#refuse(chain, tag, 'EINVAL');
    const fid = this.#session.fids.get(scratchView.getUint32(7, true));
    const offset = Number(scratchView.getBigUint64(11, true));
    const count = scratchView.getUint32(19, true);
    if (fid?.file === undefined) return this.#refuse(chain, tag, 'EBADF');
    if (count > size - WRITE_HEAD_BYTES) return this.#refuse(chain, tag, 'EINVAL');
    if (!Number.isSafeInteger(offset + count)) return this.#refuse(chain, tag, 'EFBIG');
    const views = chain.readable(WRITE_HEAD_BYTES, count);
    if (views === undefined) return 'broken';
    const put = fid.file.writeFrom(offset, views);
    // A file that was opened for reading only.
    if (!put.ok) return this.#refuse(chain, tag, put.error.reason === 'noRight' ? 'EBADF' : nameOf(put.error));
    this.#answer.u32(count);
    const message = this.#answer.finish(ASK.write + 1, tag);
    return chain.write(0, message) ? message.byteLength : 'broken';
  }
}
