/**
 * The supervisor's side of the mail: makes and takes back the queues of actors, posts to control lanes, puts right what a
 * dead worker may have left half done. Belongs to the supervisor's thread.
 */
import { assert } from '../../bus/assert.js';
import { Doorbell, formatDoorbell, recoverDoorbell } from '../../bus/doorbell/doorbell.js';
import { recoverLock } from '../../bus/doorbell/owner-lock.js';
import type { Parking } from '../../bus/doorbell/parking.js';
import { queueDepth, recoverQueue } from '../../bus/message-queue/queue-core.js';
import { formatQueue, type QueueSpec, queueBytes } from '../../bus/message-queue/queue-layout.js';
import { QueueSender } from '../../bus/message-queue/queue-sender.js';
import type { Result } from '../../bus/result.js';
import type { AnyDeclaration } from './actor.js';
import type { BodyCodec } from './body-codec.js';
import { ENVELOPE_BYTES } from './envelope.js';
import { CONTROL_TEXT_MAX } from './limits.js';
import type { Down } from './services.js';
import { nextGeneration, RegionAllocator, type SlotWord, Switchboard } from './switchboard.js';

/** What the supervisor tells an actor through its control lane, which goes before its mailbox. */
export type ControlMessage =
  /** That life of that actor ended: asks it has not answered will not be. */
  | { readonly control: 'died'; readonly actor: number; readonly incarnation: number }
  /** Something this actor monitors went down. */
  | { readonly control: 'down'; readonly down: Down }
  /** The system's answer to an ask. */
  | { readonly control: 'answer'; readonly asked: number; readonly result: Result<unknown, unknown> }
  /** The main program rang these doorbell flags. */
  | { readonly control: 'rang'; readonly flags: number };

const MESSAGE_BYTES_DEFAULT = 512;
const ASKS_DEFAULT = 64;
const CONTROL_DEPTH = 32;
const CONTROL_BYTES = 1024;
const FROM_SYSTEM_DEPTH_MAX = 256;

/** Where an actor's queues lie and how large they are. */
export interface MailPlaces {
  readonly at: number;
  readonly sizeBytes: number;
}

interface Lane {
  readonly sender: QueueSender;
  /** Where the actor sleeps. Unparking takes no lock, unlike ringing. */
  readonly parking: Parking;
  readonly waiting: ControlMessage[];
}

/** See the file comment. */
export class PostOffice {
  readonly #board: Switchboard;
  readonly #codec: BodyCodec;
  readonly #shapes: SharedArrayBuffer;
  readonly #onBacklog: () => void;
  readonly #regions: RegionAllocator;
  readonly #freeSlots: number[] = [];
  readonly #lanes = new Map<number, Lane>();
  readonly #closing: { readonly slot: number; readonly places: MailPlaces }[] = [];
  /** Memory from here on was never given to anybody, and is zero. */
  #usedEnd = 0;

  /** `onBacklog`: a message waits for room in an actor's control lane, until {@link settle}. */
  constructor(
    board: Switchboard,
    codec: BodyCodec,
    shapes: SharedArrayBuffer,
    onBacklog: () => void = () => undefined,
  ) {
    this.#onBacklog = onBacklog;
    this.#board = board;
    this.#codec = codec;
    this.#shapes = shapes;
    this.#regions = new RegionAllocator(Switchboard.queuesAt(board.slots), board.memory.byteLength);
    for (let slot = board.slots - 1; slot >= 0; slot--) this.#freeSlots.push(slot);
  }

  /** Bytes of queue memory in use. */
  get usedBytes(): number {
    return this.#regions.usedBytes;
  }

  /** A slot with fresh queues for an actor of this declaration, or undefined when slots or memory have run out. */
  open(declaration: AnyDeclaration): { slot: number; generation: number; places: MailPlaces } | undefined {
    this.settle();
    const specs = queueSpecs(declaration);
    const sizes = specs.map(sizeOf);
    const sizeBytes = sizes.reduce((sum, size) => sum + size, 0);
    const slot = this.#freeSlots.pop();
    if (slot === undefined) return undefined;
    const at = this.#regions.allocate(sizeBytes);
    if (at === undefined) {
      this.#freeSlots.push(slot);
      return undefined;
    }
    const board = this.#board;
    let offset = at;
    const words: readonly SlotWord[] = ['mailboxAt', 'fromSystemAt', 'repliesAt', 'controlAt'];
    const isZero = at >= this.#usedEnd;
    this.#usedEnd = Math.max(this.#usedEnd, at + sizeBytes);
    for (const [i, spec] of specs.entries()) {
      const handle = { buffer: board.memory, byteOffset: offset };
      assert(formatQueue(handle, spec, isZero).ok, 'queue memory was allocated to fit');
      board.set(slot, words[i] ?? 'controlAt', offset);
      offset += sizes[i] ?? 0;
    }
    assert(formatDoorbell(this.#doorbellHandle(slot)).ok, 'doorbells lie within the switchboard');
    board.set(slot, 'asksMax', declaration.asksMax ?? ASKS_DEFAULT);
    board.set(slot, 'handled', 0);
    board.set(slot, 'target', -1);
    board.set(slot, 'incarnation', 0);
    board.takeAskers(slot);
    this.#openLane(slot);
    const generation = nextGeneration(board.get(slot, 'generation'));
    board.set(slot, 'generation', generation);
    return { slot, generation, places: { at, sizeBytes } };
  }

  /** From now on sends to the slot are refused. */
  retire(slot: number): void {
    this.#board.set(slot, 'generation', nextGeneration(this.#board.get(slot, 'generation')));
    this.#board.setState(slot, 'ended');
  }

  /** Takes back a retired slot's queues as soon as nobody can be writing to them. */
  close(slot: number, places: MailPlaces): void {
    this.#lanes.delete(slot);
    this.#closing.push({ slot, places });
    if (!this.settle()) this.#onBacklog();
  }

  /** Reuses what can be reused now, and delivers control messages that had to wait; false when some of either remains. */
  settle(): boolean {
    for (let i = this.#closing.length - 1; i >= 0; i--) {
      const { slot, places } = this.#closing[i] ?? assertNothing();
      if (this.#board.isTargeted(slot)) continue;
      this.#closing.splice(i, 1);
      this.#regions.release(places.at, places.sizeBytes);
      this.#board.setState(slot, 'free');
      // Used again first: every thread keeps the queues it has opened of each slot.
      this.#freeSlots.push(slot);
    }
    let backlog = 0;
    for (const lane of this.#lanes.values()) {
      if (lane.waiting.length > 0) this.#deliver(lane);
      backlog += lane.waiting.length;
    }
    return backlog === 0 && this.#closing.length === 0;
  }

  /** Posts to an actor's control lane; what does not fit waits its turn here. */
  post(slot: number, message: ControlMessage): void {
    const lane = this.#lanes.get(slot);
    if (lane === undefined) return;
    lane.waiting.push(shortened(message));
    this.#deliver(lane);
    if (lane.waiting.length > 0) this.#onBacklog();
  }

  /** Makes an actor look at its orders. */
  wake(slot: number): void {
    this.#lanes.get(slot)?.parking.unpark();
  }

  /** Messages in an actor's mailbox. */
  depth(slot: number): number {
    const depthOf = (word: SlotWord): number =>
      queueDepth({ buffer: this.#board.memory, byteOffset: this.#board.get(slot, word) });
    return depthOf('mailboxAt') + depthOf('fromSystemAt');
  }

  /** A worker died: frees locks it held (whatever it was publishing is published or gone) and withdraws its target. */
  recoverFrom(slot: number): void {
    const board = this.#board;
    const owner = slot + 1;
    const target = board.get(slot, 'target');
    if (target >= 0) {
      for (const word of ['mailboxAt', 'repliesAt'] as const) {
        recoverQueue({ buffer: board.memory, byteOffset: board.get(target, word) }, owner);
      }
      recoverDoorbell(this.#doorbellHandle(target), owner);
    }
    recoverDoorbell(this.#doorbellHandle(slot), owner);
    recoverLock(new Int32Array(this.#shapes), 0, owner);
    board.set(slot, 'target', -1);
    board.set(slot, 'busy', 0);
  }

  /** Prepares a slot for its next life: the mailbox keeps its messages, the control lane starts empty. */
  renew(slot: number): void {
    const handle = { buffer: this.#board.memory, byteOffset: this.#board.get(slot, 'controlAt') };
    assert(formatQueue(handle, CONTROL_SPEC).ok, 'the control queue was formatted before');
    this.#openLane(slot);
  }

  #openLane(slot: number): void {
    const board = this.#board;
    const bell = Doorbell.attach(this.#doorbellHandle(slot), { owner: SUPERVISOR_OWNER });
    assert(bell.ok, 'the doorbell was formatted');
    const handle = { buffer: board.memory, byteOffset: board.get(slot, 'controlAt') };
    const sender = QueueSender.attach(handle, { owner: SUPERVISOR_OWNER, wake: bell.value.parking });
    assert(sender.ok, 'the control queue was formatted');
    this.#lanes.set(slot, { sender: sender.value, parking: bell.value.parking, waiting: [] });
  }

  #deliver(lane: Lane): void {
    for (let message = lane.waiting[0]; message !== undefined; message = lane.waiting[0]) {
      const at = lane.sender.reserve();
      if (at < 0) return;
      const size = this.#codec.encode(message, lane.sender, at);
      if (size < 0) {
        // Only an answer can be too large; its asker gets the rest of the truth.
        assert(message.control === 'answer', 'control messages are bounded');
        lane.sender.cancel();
        lane.waiting[0] = { ...message, result: { ok: false, error: { reason: 'answerUnsendable', message: {} } } };
        continue;
      }
      lane.sender.bytes.fill(0, at, at + ENVELOPE_BYTES);
      lane.sender.stage(ENVELOPE_BYTES + size);
      lane.sender.publish();
      lane.waiting.shift();
    }
  }

  #doorbellHandle(slot: number): { readonly buffer: SharedArrayBuffer; readonly byteOffset: number } {
    return { buffer: this.#board.memory, byteOffset: this.#board.doorbellAt(slot) };
  }
}

const CONTROL_SPEC: QueueSpec = { depth: CONTROL_DEPTH, messageBytesMax: CONTROL_BYTES, mode: 'single' };
/** The supervisor's thread shares the system actor's owner number. */
const SUPERVISOR_OWNER = 1;

function queueSpecs(declaration: AnyDeclaration): readonly QueueSpec[] {
  const messageBytesMax = ENVELOPE_BYTES + (declaration.messageBytesMax ?? MESSAGE_BYTES_DEFAULT);
  // A restarted asker may meet answers to its former life: they take room beside its own.
  const answers = 2 * (declaration.asksMax ?? ASKS_DEFAULT);
  return [
    { depth: declaration.mailboxMax, messageBytesMax, mode: 'fan-in' },
    { depth: Math.min(declaration.mailboxMax, FROM_SYSTEM_DEPTH_MAX), messageBytesMax, mode: 'single' },
    { depth: answers, messageBytesMax, mode: 'fan-in' },
    CONTROL_SPEC,
  ];
}

function sizeOf(spec: QueueSpec): number {
  const size = queueBytes(spec);
  assert(size.ok, 'an actor declaration is checked when its module loads');
  return Math.ceil(size.value / 64) * 64;
}

function shortened(message: ControlMessage): ControlMessage {
  if (message.control !== 'down') return message;
  return { ...message, down: { ...message.down, detail: message.down.detail.slice(0, CONTROL_TEXT_MAX) } };
}

function assertNothing(): never {
  return assert(false, 'index within bounds') as never;
}
