/**
 * Object channels: for the few things that no queue of bytes can carry, above all compiled WebAssembly modules, which
 * threads of a process share by structured clone. The ends are made by whoever starts the actors and go with their
 * configs, as fields or as elements of an array; each end can be handed over once, so its actor must not be restarted.
 *
 * Taking never blocks and costs one atomic load while nothing has come, so a blocking actor may look between slices.
 * Order is kept. Nothing bounds what waits here: the users' protocol must (asks in flight, for the translator).
 */
import { MessageChannel, MessagePort, receiveMessageOnPort } from 'node:worker_threads';

/** One end as it stands in a spawn config: opaque. */
export interface ObjectEnd {
  readonly port: MessagePort;
  /** Objects sent to this end and to the other, modulo 2^32. */
  readonly sent: SharedArrayBuffer;
  readonly index: 0 | 1;
}

/** Makes a channel. */
export function createObjectChannel(): readonly [ObjectEnd, ObjectEnd] {
  const { port1, port2 } = new MessageChannel();
  const sent = new SharedArrayBuffer(8);
  return [
    { port: port1, sent, index: 0 },
    { port: port2, sent, index: 1 },
  ];
}

/** An end in use, `Out` being what it sends and `In` what it gets. */
export class ObjectPort<Out, In> {
  readonly #port: MessagePort;
  readonly #sent: Int32Array;
  readonly #index: 0 | 1;
  #taken = 0;

  constructor(end: ObjectEnd) {
    this.#port = end.port;
    this.#sent = new Int32Array(end.sent);
    this.#index = end.index;
  }

  /** Sends what structured clone can carry. What the other end no longer takes is lost. */
  send(object: Out): void {
    this.#port.postMessage(object);
    Atomics.add(this.#sent, 1 - this.#index, 1);
  }

  /** The next object, if one has come. Not together with {@link listen}. */
  take(): In | undefined {
    if (Atomics.load(this.#sent, this.#index) === this.#taken) return undefined;
    const received = receiveMessageOnPort(this.#port);
    if (received === undefined) return undefined;
    this.#taken = (this.#taken + 1) | 0;
    // WHY: both ends are of this build; their types are fixed where the channel is made.
    return received.message as In;
  }

  /** Calls `take` with every object, from the event loop: not for blocking actors. */
  listen(take: (object: In) => void): void {
    this.#port.on('message', take);
  }
}

/** The ports in `config` that must be transferred with it. */
export function portsOf(config: unknown): MessagePort[] {
  if (typeof config !== 'object' || config === null) return [];
  return Object.values(config)
    .flat()
    .flatMap((value: unknown) =>
      typeof value === 'object' && value !== null && 'port' in value && value.port instanceof MessagePort
        ? [value.port]
        : [],
    );
}
