/**
 * A link: two one-way message queues of frames in shared memory, one end for a device, one for a switch or gateway. Each
 * frame is preceded by its packet header (wire/headers.ts). A full queue refuses; the sender keeps or drops the frame
 * knowingly. The receiver is rung when a queue stops being empty, the sender when a full one has room again, exactly as a
 * Gunyah queue's interrupts go.
 */
import { assert } from '../../../bus/assert.js';
import { CORRUPT } from '../../../bus/message-queue/queue-end.js';
import { createQueue, type QueueHandle } from '../../../bus/message-queue/queue-layout.js';
import { QueueReceiver } from '../../../bus/message-queue/queue-receiver.js';
import { QueueSender, UNCHANGED } from '../../../bus/message-queue/queue-sender.js';
import { FRAME_BYTES_MAX, PacketHeader } from '../wire/headers.js';

/** A link's shared memory; crosses threads as part of a spawn config. */
export interface LinkMemory {
  /** From the near end (say, a device) to the far end (say, a switch). */
  readonly out: QueueHandle;
  readonly back: QueueHandle;
  /** Numbers of the actors at both ends, the near one's first; each writes its own when it attaches. Behind them, {@link openPort}. */
  readonly actors: SharedArrayBuffer;
  /** Which of the two is this end. */
  readonly side: 0 | 1;
}

/** Makes a link that holds `depth` frames each way. Pages nobody touches cost nothing. */
export function createLink(depth = 256): LinkMemory {
  const spec = { depth, messageBytesMax: FRAME_BYTES_MAX, mode: 'single' } as const;
  return { out: createQueue(spec), back: createQueue(spec), actors: new SharedArrayBuffer(16), side: 0 };
}

/** Words of `actors` that say who may speak at the near end: a right and a hardware address, its high half beside the right. */
const RIGHT = 2;
const ADDRESS_LOW = 3;
const RIGHTS = { nobody: 0, anybody: 1, one: 2 } as const;
const RIGHT_SHIFT = 16;

/** Lets the near end of a link that leads to a port made beforehand speak: under `mac` only, or (absent) under any address. */
export function openPort({ actors }: LinkMemory, mac?: Uint8Array): void {
  const words = new Int32Array(actors);
  const view = new DataView((mac ?? new Uint8Array(6)).slice().buffer);
  const right = mac === undefined ? RIGHTS.anybody : RIGHTS.one;
  Atomics.store(words, ADDRESS_LOW, view.getInt32(2));
  Atomics.store(words, RIGHT, (right << RIGHT_SHIFT) | view.getUint16(0));
}
/** Nobody is at the near end any more: nothing comes from there, and nothing goes there. */
export function closePort({ actors }: LinkMemory): void {
  Atomics.store(new Int32Array(actors), RIGHT, RIGHTS.nobody);
}

/** Reads at the far end who may speak; for every frame, so without a view of its own. */
export class PortRight {
  readonly #words: Int32Array;

  constructor({ actors }: LinkMemory) {
    this.#words = new Int32Array(actors);
  }
  get isOpen(): boolean {
    return (this.#words[RIGHT] ?? 0) !== RIGHTS.nobody;
  }
  /** The only address, as a number; undefined: any. */
  get mac(): number | undefined {
    const right = this.#words[RIGHT] ?? 0;
    if (right >> RIGHT_SHIFT !== RIGHTS.one) return undefined;
    return (right & 0xffff) * 2 ** 32 + ((this.#words[ADDRESS_LOW] ?? 0) >>> 0);
  }
}

/** The same link as its far end holds it. */
export function farEnd(link: LinkMemory): LinkMemory {
  return { out: link.back, back: link.out, actors: link.actors, side: link.side === 0 ? 1 : 0 };
}

/** Where frames go. Belongs to one thread. */
export interface FrameSink {
  /** Memory that `reserve` points into, and the same as a view. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Offset at which to write packet header and frame ({@link FRAME_BYTES_MAX} bytes are free there), or -1 when there is no room. */
  reserve(): number;
  /** Completes the reserved frame as `sizeBytes` long, packet header included. Nobody sees it before {@link flush}. */
  commit(sizeBytes: number): void;
  /** Makes committed frames visible. */
  flush(): void;
}

/** One end of a link. Belongs to one thread. */
export class LinkEnd implements FrameSink {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Memory that {@link offset} points into. */
  readonly received: Uint8Array;
  readonly receivedView: DataView;
  readonly #sender: QueueSender;
  readonly #receiver: QueueReceiver;
  readonly #actors: Int32Array;
  readonly #side: 0 | 1;
  #staged = 0;
  #corrupt = false;

  private constructor(sender: QueueSender, receiver: QueueReceiver, actors: Int32Array, side: 0 | 1) {
    this.#actors = actors;
    this.#side = side;
    this.#sender = sender;
    this.#receiver = receiver;
    this.bytes = sender.bytes;
    this.received = receiver.bytes;
    this.view = viewOf(sender.bytes);
    this.receivedView = viewOf(receiver.bytes);
  }

  /**
   * Attaches actor number `self` to this side of a link made by {@link createLink}. `ring` wakes the actor at the other end
   * when frames wait where there were none, or there is room where there was none.
   */
  static attach(memory: LinkMemory, self: number, ring: (actor: number) => void): LinkEnd {
    const actors = new Int32Array(memory.actors);
    Atomics.store(actors, memory.side, self | 0);
    const wake = (asserted: boolean): void => {
      const peer = Atomics.load(actors, 1 - memory.side) >>> 0;
      if (asserted && peer !== 0) ring(peer);
    };
    const quiet = (): void => undefined;
    const sender = QueueSender.attach(memory.out, { owner: OWNER, signals: { data: wake, space: quiet } });
    const receiver = QueueReceiver.attach(memory.back, { owner: OWNER, signals: { data: quiet, space: wake } });
    assert(sender.ok && receiver.ok, 'a link is made by createLink');
    // A sender that found the queue full is told when half of it is free, not for every frame.
    sender.value.configure(sender.value.depth >> 1, UNCHANGED);
    return new LinkEnd(sender.value, receiver.value, actors, memory.side);
  }

  /** Who is rung from here on when frames wait at this end. */
  hear(actor: number): void {
    Atomics.store(this.#actors, this.#side, actor | 0);
  }
  /** Another thread has used this end meanwhile, and is done. */
  resume(): void {
    this.#sender.resume();
    this.#receiver.resume();
  }

  /** Whether the queue towards us was damaged; nothing is received from it any more. */
  get corrupt(): boolean {
    return this.#corrupt;
  }
  /** Whether a frame waits, as far as a look can tell. */
  get waiting(): boolean {
    return !this.#corrupt && this.#receiver.mayHaveData();
  }
  /** Whether a frame has room, as far as a look can tell. */
  get hasRoom(): boolean {
    return this.#sender.mayHaveSpace();
  }
  /** Where the frame lies that {@link next} found. */
  get offset(): number {
    return this.#receiver.offset;
  }

  /** Size of the next frame with its packet header, in bytes, at {@link offset} of {@link received}; 0 when there is none. */
  next(): number {
    for (;;) {
      const size = this.#corrupt ? 0 : this.#receiver.peek();
      if (size === CORRUPT) this.#corrupt = true;
      if (size <= 0) return 0;
      if (size >= FRAME_BYTES_MIN) return size;
      this.#receiver.take(); // too short for any protocol: dropped
    }
  }
  /** Drops what waits: it was meant for somebody who used the link before. */
  drain(): void {
    while (this.next() > 0) this.take();
    this.#receiver.free();
  }
  /** Steps past the frame {@link next} found; its bytes stay valid until {@link free}. */
  take(): void {
    this.#receiver.take();
  }
  /**
   * Gives the places of all taken frames back. True when a frame waits that came before: its sender saw the queue filled
   * with what was taken but not yet given back, so it rings nobody, and who asks must look again.
   */
  free(): boolean {
    this.#receiver.free();
    return this.waiting;
  }

  reserve(): number {
    const at = this.#sender.reserve();
    return at < 0 ? -1 : at;
  }
  commit(sizeBytes: number): void {
    this.#sender.stage(sizeBytes);
    this.#staged++;
  }
  flush(): void {
    if (this.#staged === 0) return;
    this.#staged = 0;
    this.#sender.publish();
  }
}

/** Queues of one sender and one receiver have no lock, so nobody needs to be told apart. */
const OWNER = 1;
/** Packet header and Ethernet header. */
const FRAME_BYTES_MIN = PacketHeader.sizeBytes + 14;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
