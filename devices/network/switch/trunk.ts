/**
 * Joins the switches of several processes under one name: a socket in the host's file system. Whoever finds nobody there listens
 * and becomes the hub, to which the others connect; when the hub ends, the rest meet again and one of them takes its place.
 * The switches form a star, so no frame goes in a circle.
 */
import type { HostListener, HostNetwork, HostStream, StreamEvents } from '../../../actors/runtime/network.js';
import { type LearningSwitch, newPort } from './learning-switch.js';
import { StreamPort } from './stream-port.js';

/** What a trunk needs of whoever runs it. */
export interface TrunkParts {
  readonly network: HostNetwork;
  readonly path: string;
  readonly learning: LearningSwitch;
  after(ms: number, action: () => void): void;
  /** A whole number below `limit`. */
  below(limit: number): number;
  /** Says what went wrong, for people. */
  warn(text: string): void;
}

const RETRY_MS_MIN = 20;
const RETRY_MS_SPREAD = 100;
/** Other switches of one hub. */
const PEERS_MAX = 64;

/** See the file comment. Belongs to one thread. */
export class Trunk {
  readonly #parts: TrunkParts;
  readonly #peers = new Set<StreamPort>();
  #listener: HostListener | undefined;
  #closed = false;
  #said = '';

  constructor(parts: TrunkParts) {
    this.#parts = parts;
  }

  /** Switches joined directly. */
  get peers(): number {
    return this.#peers.size;
  }
  get isHub(): boolean {
    return this.#listener !== undefined;
  }

  /** Looks for the hub, or becomes it. */
  meet(): void {
    if (this.#closed) return;
    let opened = false;
    const stream: HostStream = this.#parts.network.connectLocal(this.#parts.path, {
      ...this.#events(() => stream),
      opened: () => {
        opened = true;
        joined.opened();
      },
      data: (bytes) => joined.data(bytes),
      closed: (error) => {
        joined.closed(error);
        if (opened) this.#again();
        else this.#become();
      },
    });
    const joined = this.#events(() => stream);
  }

  /** Leaves: the others meet without us. */
  close(): void {
    this.#closed = true;
    this.#listener?.close();
    for (const peer of this.#peers) peer.close();
  }

  #become(): void {
    const { network, path } = this.#parts;
    const accepted = (stream: HostStream): StreamEvents => {
      const events = this.#events(() => stream);
      if (this.#peers.size < PEERS_MAX && !this.#closed) events.opened();
      else stream.reset();
      return events;
    };
    network.listenLocal(path, accepted).then(
      (listening) => {
        if (!listening.ok) {
          // Somebody else was quicker, or the folder is not ours.
          const { detail } = listening.error;
          if (detail !== 'EADDRINUSE' && detail !== this.#said) this.#parts.warn(`${path}: ${detail}`);
          this.#said = detail;
          this.#again();
        } else if (this.#closed) listening.value.close();
        else this.#listener = listening.value;
      },
      () => this.#again(),
    );
  }

  #again(): void {
    if (!this.#closed) this.#parts.after(RETRY_MS_MIN + this.#parts.below(RETRY_MS_SPREAD), () => this.meet());
  }

  /** What a stream to another switch does: it is a port while it stands. */
  #events(stream: () => HostStream): StreamEvents {
    const { learning } = this.#parts;
    let port: StreamPort | undefined;
    let number = -1;
    const leave = (): void => {
      if (port === undefined) return;
      this.#peers.delete(port);
      port = undefined;
      learning.detach(number);
    };
    return {
      opened: () => {
        port = new StreamPort(stream());
        this.#peers.add(port);
        number = learning.attach(newPort(port));
      },
      data: (bytes) => {
        if (port === undefined) return;
        if (port.feed(bytes)) while (learning.turn());
        else {
          this.#parts.warn(`${this.#parts.path}: another switch sent what is no frame`);
          port.close();
          leave();
        }
      },
      drained: () => undefined,
      ended: () => stream().end(),
      closed: leave,
    };
  }
}
