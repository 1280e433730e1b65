/**
 * One TCP connection of a guest, ended here and continued by a stream of the host (RFC 9293, the half of it a gateway
 * on a loss-poor link needs): window scaling, no selective acknowledgement, no congestion control (the link's queue is the
 * only thing between the two ends), retransmission from the oldest unacknowledged byte.
 */
import type { HostStream, StreamEvents } from '../../../actors/runtime/network.js';
import { TCP } from '../wire/headers.js';
import { LARGE_SEGMENT_BYTES_MAX, type SegmentFields } from './frame-writer.js';
import { SendBuffer } from './send-buffer.js';

/** The four numbers that name a connection. */
export interface FlowName {
  readonly guest: number;
  readonly guestPort: number;
  readonly remote: number;
  readonly remotePort: number;
}

/** A segment from the guest, header already checked. */
export interface Segment {
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly flags: number;
  readonly window: number;
  /** Options of a SYN. */
  readonly segmentBytesMax: number | undefined;
  readonly windowShift: number | undefined;
  /** The payload, `bytes[at, end)`. */
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly end: number;
}

/** What a flow needs of its gateway. */
export interface FlowHost {
  now(): number;
  /** Writes a segment towards the guest; false when the link is full, and {@link TcpFlow.pump} is called when it is not. */
  send(
    flow: TcpFlow,
    fields: Pick<SegmentFields, 'sequence' | 'acknowledgement' | 'flags' | 'window'>,
    options: Uint8Array,
    payloadBytes: number,
    fill: (bytes: Uint8Array, at: number) => void,
  ): boolean;
  /** The flow has something to send: it wants a {@link TcpFlow.pump} at the end of this batch of events. */
  wantsPump(flow: TcpFlow): void;
  /** The flow waits: it wants {@link TcpFlow.due} once `dueMs` has come. */
  wantsTimer(): void;
  /** The flow is over; nothing of it may be kept. */
  over(flow: TcpFlow): void;
}

/** Bytes the guest may have on their way to a host that does not take them. */
const RECEIVE_WINDOW = 1 << 20;
/** Bytes kept for a guest that does not take them; beyond it the host's stream pauses. */
const SEND_HIGH = 1 << 20;
const SEND_LOW = 1 << 19;
/** Our window scale: the largest window needs 20 bits. */
const WINDOW_SHIFT = 5;
const RETRANSMIT_MS_MIN = 250;
const RETRANSMIT_MS_MAX = 10_000;
/** A guest that is paused (a debugger) comes back: connections outlive some minutes of silence. */
const RETRIES_MAX = 40;
/** How long a finished connection still answers, in milliseconds. */
const LINGER_MS = 2_000;
const DEFAULT_SEGMENT_BYTES = 536;
const OUR_SEGMENT_BYTES_MAX = 1460;
const NO_OPTIONS = new Uint8Array(0);
const nothing = (): void => undefined;

/** `a - b` of sequence numbers, signed. */
export function distance(a: number, b: number): number {
  return (a - b) | 0;
}

type Phase =
  /** The guest asked; the host has not connected yet. */
  | 'opening'
  /** Our SYN is out. */
  | 'synSent'
  | 'established'
  /** Both sides said all; kept to answer what the guest repeats. */
  | 'lingering'
  | 'over';

/** See the file comment. Belongs to one thread. */
export class TcpFlow implements StreamEvents {
  readonly name: FlowName;
  /** Largest payload per wire segment towards the guest. */
  cutBytes = DEFAULT_SEGMENT_BYTES;
  readonly #host: FlowHost;
  readonly #buffer = new SendBuffer();
  #stream: HostStream | undefined;
  #phase: Phase;
  /** Oldest sequence number the guest has not acknowledged, next to send, and next expected from it. */
  #unacknowledged: number;
  #next: number;
  #expected = 0;
  #window = 0;
  #windowShift = 0;
  #theyScale = false;
  #acknowledgePending = false;
  #advertised = 0;
  #hostEnded = false;
  #finSent = false;
  #guestEnded = false;
  #paused = false;
  #handshakeDone: boolean;
  #duplicates = 0;
  /** A byte went into a shut window; whether the guest kept it shows when the window opens. */
  #probing = false;
  #retries = 0;
  /** When to send again or, lingering, to forget; Infinity: nothing to wait for. */
  dueMs = Number.POSITIVE_INFINITY;
  lastHeardMs: number;

  constructor(name: FlowName, initialSequence: number, host: FlowHost, opensToGuest: boolean) {
    this.name = name;
    this.#host = host;
    this.#unacknowledged = initialSequence >>> 0;
    this.#next = this.#unacknowledged;
    this.#phase = opensToGuest ? 'synSent' : 'opening';
    this.#handshakeDone = false;
    this.lastHeardMs = host.now();
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Continues the connection with `stream`. For a published port the handshake with the guest begins. */
  join(stream: HostStream): void {
    this.#stream = stream;
    if (this.#phase !== 'synSent') return;
    stream.pause();
    this.#paused = true;
    this.#sendSyn(TCP.syn);
  }

  // What the host's stream tells.

  opened(): void {
    if (this.#phase !== 'opening') return;
    this.#phase = 'established';
    this.#sendSyn(TCP.syn | TCP.ack);
  }

  data(bytes: Uint8Array): void {
    if (this.#phase === 'over') return;
    this.#buffer.push(bytes);
    if (this.#buffer.length >= SEND_HIGH && !this.#paused) {
      this.#paused = true;
      this.#stream?.pause();
    }
    this.#host.wantsPump(this);
  }

  drained(): void {
    // A window that was nearly shut is opened again, or the guest would wait for its probe timer.
    if (this.#phase === 'established' && this.#receiveWindow() - this.#advertised >= RECEIVE_WINDOW / 2) this.#owe();
  }

  ended(): void {
    this.#hostEnded = true;
    this.#host.wantsPump(this);
  }

  closed(error: string | undefined): void {
    this.#stream = undefined;
    if (this.#phase === 'over' || this.#phase === 'lingering') return;
    if (error === undefined && this.#hostEnded) {
      // Both ends of the host's stream are done; what is buffered still goes to the guest.
      this.#host.wantsPump(this);
      return;
    }
    this.reset();
  }

  // What the guest sends.

  /** The guest's SYN, or for a published port its SYN-ACK. */
  greet(segment: Segment): void {
    this.#expected = (segment.sequence + 1) >>> 0;
    this.cutBytes = Math.max(64, Math.min(segment.segmentBytesMax ?? DEFAULT_SEGMENT_BYTES, OUR_SEGMENT_BYTES_MAX));
    this.#theyScale = segment.windowShift !== undefined;
    this.#windowShift = Math.min(segment.windowShift ?? 0, 14);
    this.#window = segment.window; // never scaled in a SYN
    this.lastHeardMs = this.#host.now();
  }

  /** Any later segment. */
  receive(segment: Segment): void {
    this.lastHeardMs = this.#host.now();
    const { flags } = segment;
    if (this.#phase === 'opening' || this.#phase === 'over') return; // the host has not answered: the guest repeats itself
    if (this.#phase === 'synSent') {
      this.#answered(segment);
      return;
    }
    if (flags & TCP.rst) {
      // Only one that fits exactly: a guess must not end the connection (RFC 9293, 3.10.7.4).
      if (segment.sequence === this.#expected) this.#abandon();
      return;
    }
    if (flags & TCP.syn) {
      if (this.#handshakeDone) this.#owe();
      else this.#sendSyn(TCP.syn | TCP.ack);
      return;
    }
    if ((flags & TCP.ack) === 0) return;
    this.#acknowledged(segment);
    if (this.#handshakeDone) this.#take(segment);
    this.#host.wantsPump(this);
  }

  /** The answer to our SYN. */
  #answered(segment: Segment): void {
    const fits = segment.acknowledgement === (this.#unacknowledged + 1) >>> 0;
    if (segment.flags & TCP.rst) {
      if (fits) this.#abandon();
      return;
    }
    if ((segment.flags & (TCP.syn | TCP.ack)) !== (TCP.syn | TCP.ack) || !fits) return;
    this.greet(segment);
    this.#unacknowledged = segment.acknowledgement;
    this.#next = this.#unacknowledged;
    this.#phase = 'established';
    this.#handshakeDone = true;
    this.#settled();
    this.#owe();
    this.#resume();
  }

  #acknowledged(segment: Segment): void {
    const ahead = distance(segment.acknowledgement, this.#unacknowledged);
    const outstanding = distance(this.#next, this.#unacknowledged);
    if (ahead < 0 || ahead > outstanding) {
      if (ahead > outstanding) this.#owe(); // acknowledges what we never sent
      return;
    }
    const window = segment.window * 2 ** (this.#handshakeDone || this.#theyScale ? this.#windowShift : 0);
    if (ahead === 0) {
      const bare = segment.at === segment.end && (segment.flags & TCP.fin) === 0;
      if (bare && outstanding > 0 && window === this.#window && ++this.#duplicates === 3) this.#goBack();
      this.#window = window;
      if (this.#probing && window > 0) this.#goBack();
      return;
    }
    this.#duplicates = 0;
    this.#probing = false;
    this.#window = window;
    this.#unacknowledged = segment.acknowledgement;
    let bytes = ahead;
    if (!this.#handshakeDone) {
      this.#handshakeDone = true;
      bytes -= 1;
    }
    this.#buffer.drop(bytes); // a FIN's number is beyond the buffer's end, so dropping one more is harmless
    this.#settled();
    if (this.#buffer.length < SEND_LOW) this.#resume();
    this.#maybeFinished();
  }

  /** Takes what is next in order; everything else is answered with what we expect. */
  #take({ sequence, flags, bytes, at, end }: Segment): void {
    const fin = (flags & TCP.fin) !== 0;
    if (at === end && !fin) {
      // A keep-alive or window probe lies before what we expect and wants an answer.
      if (distance(sequence, this.#expected) < 0) this.#owe();
      return;
    }
    const known = distance(this.#expected, sequence);
    if (known < 0 || this.#guestEnded) {
      this.#owe();
      return;
    }
    const from = at + known;
    if (from < end) {
      const taken = Math.min(end - from, this.#receiveWindow());
      if (taken > 0) {
        this.#stream?.write(bytes.slice(from, from + taken));
        this.#expected = (this.#expected + taken) >>> 0;
      }
      this.#owe();
      if (taken < end - from) return;
    } else this.#owe();
    if (!fin || known > end - at) return;
    this.#expected = (this.#expected + 1) >>> 0;
    this.#guestEnded = true;
    this.#stream?.end();
    this.#maybeFinished();
  }

  /** Sends what may be sent now. */
  pump(): void {
    if (this.#phase === 'established' && this.#handshakeDone) this.#sendData();
    if (this.#acknowledgePending) this.#bare(TCP.ack);
  }

  /** A timer's call when {@link dueMs} has come. */
  due(): void {
    if (this.#phase === 'lingering') {
      this.#finish();
      return;
    }
    if (distance(this.#next, this.#unacknowledged) === 0 && this.#buffer.length === 0) {
      this.dueMs = Number.POSITIVE_INFINITY;
      return;
    }
    if (++this.#retries > RETRIES_MAX) {
      this.reset();
      return;
    }
    if (!this.#handshakeDone) {
      this.#next = this.#unacknowledged;
      this.#sendSyn(this.#phase === 'synSent' ? TCP.syn : TCP.syn | TCP.ack);
      return;
    }
    const shut = this.#window === 0 || this.#probing;
    this.#goBack();
    // A shut window is probed with one byte, which the guest must answer (RFC 9293, 3.8.6.1).
    if (shut && this.#buffer.length > 0) {
      this.#window = 1;
      this.#probing = true;
    }
    this.pump();
    this.#wait();
  }

  /** Ends the connection at once, on both sides. */
  reset(): void {
    if (this.#phase !== 'over') this.#bare(TCP.rst | TCP.ack);
    this.#abandon();
  }

  #sendData(): void {
    if (this.#finSent) return;
    const buffered = this.#buffer.length;
    for (;;) {
      const sent = distance(this.#next, this.#unacknowledged);
      const left = buffered - sent;
      const room = this.#window - sent;
      if (left <= 0) break;
      if (room <= 0) {
        this.#wait();
        return;
      }
      const size = Math.min(left, room, this.#largest());
      // Not a sliver of a window while something is on its way (RFC 9293, 3.8.6.2.1).
      if (size < left && size < this.cutBytes && sent > 0) return;
      const flags = size === left ? TCP.ack | TCP.psh : TCP.ack;
      const fill = (bytes: Uint8Array, at: number): void => this.#buffer.copy(sent, size, bytes, at);
      if (!this.#segment(flags, this.#next, NO_OPTIONS, size, fill)) return;
      this.#next = (this.#next + size) >>> 0;
      this.#wait();
    }
    if (!this.#hostEnded) return;
    if (!this.#segment(TCP.fin | TCP.ack, this.#next, NO_OPTIONS, 0, nothing)) return;
    this.#next = (this.#next + 1) >>> 0;
    this.#finSent = true;
    this.#wait();
  }

  /** As many whole wire segments as one large packet holds. */
  #largest(): number {
    return Math.floor(LARGE_SEGMENT_BYTES_MAX / this.cutBytes) * this.cutBytes;
  }

  #sendSyn(flags: number): void {
    const scaled = this.#theyScale || (flags & TCP.ack) === 0;
    const options = scaled ? SYN_OPTIONS_SCALED : SYN_OPTIONS;
    this.#segment(flags, this.#unacknowledged, options, 0, nothing);
    this.#next = (this.#unacknowledged + 1) >>> 0;
    this.#wait();
  }

  #bare(flags: number): void {
    this.#segment(flags, this.#next, NO_OPTIONS, 0, nothing);
  }

  #segment(
    flags: number,
    sequence: number,
    options: Uint8Array,
    payloadBytes: number,
    fill: (bytes: Uint8Array, at: number) => void,
  ): boolean {
    const window = this.#receiveWindow();
    const shift = this.#theyScale && (flags & TCP.syn) === 0 ? WINDOW_SHIFT : 0;
    const field = Math.min(window >> shift, 0xffff);
    const acknowledgement = flags & TCP.ack ? this.#expected : 0;
    const fields = { sequence, acknowledgement, flags, window: field };
    if (!this.#host.send(this, fields, options, payloadBytes, fill)) {
      this.#host.wantsPump(this);
      return false;
    }
    if (flags & TCP.ack) {
      this.#acknowledgePending = false;
      this.#advertised = field << shift;
    }
    return true;
  }

  #receiveWindow(): number {
    return Math.max(0, RECEIVE_WINDOW - (this.#stream?.pendingBytes ?? 0));
  }

  /** An acknowledgement is owed; it goes with data or at the end of the batch. */
  #owe(): void {
    this.#acknowledgePending = true;
    this.#host.wantsPump(this);
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#stream?.resume();
  }

  /** Sends again from the oldest unacknowledged byte. */
  #goBack(): void {
    this.#next = this.#unacknowledged;
    this.#finSent = false;
    this.#probing = false;
    this.#duplicates = 0;
    this.#host.wantsPump(this);
  }

  #settled(): void {
    this.#retries = 0;
    this.dueMs = Number.POSITIVE_INFINITY;
    if (distance(this.#next, this.#unacknowledged) > 0) this.#wait();
  }

  #wait(): void {
    const delay = Math.min(RETRANSMIT_MS_MIN * 2 ** Math.min(this.#retries, 6), RETRANSMIT_MS_MAX);
    this.dueMs = this.#host.now() + delay;
    this.#host.wantsTimer();
  }

  #maybeFinished(): void {
    const allAcknowledged = this.#finSent && this.#unacknowledged === this.#next;
    if (!this.#guestEnded || !allAcknowledged || this.#phase !== 'established') return;
    this.#phase = 'lingering';
    this.dueMs = this.#host.now() + LINGER_MS;
    this.#host.wantsTimer();
  }

  #abandon(): void {
    this.#stream?.reset();
    this.#finish();
  }

  #finish(): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#stream = undefined;
    this.dueMs = Number.POSITIVE_INFINITY;
    this.#host.over(this);
  }
}

/** Maximum segment size, alone and with a window scale. */
const SYN_OPTIONS = Uint8Array.of(2, 4, OUR_SEGMENT_BYTES_MAX >> 8, OUR_SEGMENT_BYTES_MAX & 0xff);
const SYN_OPTIONS_SCALED = Uint8Array.of(...SYN_OPTIONS, 1, 3, 3, WINDOW_SHIFT);
