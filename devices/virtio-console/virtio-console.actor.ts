/**
 * virtio console with one port (V1.2, 5.3): bytes the guest sends go to `output`, bytes from `input` into its receive
 * buffers. Whoever writes to `input` or reads from a full `output` rings the actor.
 */
import { actor, actorKind } from '../../actors/runtime/actor.js';
import { MACHINE_HANDLER_BUDGET_MS } from '../../actors/runtime/limits.js';
import type { Ask, Tell } from '../../actors/runtime/protocol.js';
import { ByteStream } from '../../actors/shared-state/byte-stream/byte-stream.js';
import { u16, u32 } from '../../bus/layout/fields.js';
import { struct } from '../../bus/layout/struct.js';
import { ok } from '../../bus/result.js';
import { VirtioDevice, type VirtioPlace } from '../virtio/virtio-device.js';
import { DEVICE } from '../virtio/wire.js';

/** What the device is started with. */
export interface VirtioConsoleConfig {
  readonly place: VirtioPlace;
  /** To the screen, and from the keyboard (byte streams). */
  readonly output: SharedArrayBuffer;
  readonly input: SharedArrayBuffer;
  readonly columns: number;
  readonly rows: number;
}

/** The console's messages. */
export type VirtioConsoleProtocol = {
  /** Answered when everything the guest has sent so far is in `output`, `output` is full, or a megabyte has been moved. */
  flush: Ask<object, { bytes: number }>;
  /** The window has another size; the guest is told. */
  resize: Tell<{ columns: number; rows: number }>;
};

/** Configuration space (V1.2, 5.3.4). */
const ConsoleSpace = struct('ConsoleSpace', 12, {
  columns: u16(0),
  rows: u16(2),
  portsMax: u32(4),
  emergencyWrite: u32(8),
});
/** VIRTIO_CONSOLE_F_SIZE. */
const FEATURE_SIZE = 0;
const QUEUE = { receive: 0, transmit: 1 } as const;
const QUEUE_SIZE = 64;
/** Bytes taken from one buffer at once: no more than a stream holds, so that a chain is never stuck. */
const PIECE_BYTES = 4096;
/** Bytes of the guest moved in one turn: other messages, and whoever waits for the device to leave guest memory, come between. */
const TURN_BYTES_MAX = 256 << 10;
/** Turns of one flush: all the queue can hold, unless the buffers are huge or the guest goes on sending. */
const FLUSH_TURNS_MAX = 4;

interface ConsoleState {
  readonly device: VirtioDevice;
  readonly output: ByteStream;
  readonly input: ByteStream;
  /** Bytes of the chain in hand that are in `output` already, and the reset they belong to. */
  sent: number;
  epoch: number;
  bytes: number;
  /** The reset after which the driver was told the size; -1: none. */
  toldEpoch: number;
}

const piece = new Uint8Array(PIECE_BYTES);

/** Moves what the guest sends; true when there may be more. */
function transmit(state: ConsoleState): boolean {
  const { device, output } = state;
  if (state.epoch !== device.epoch) {
    state.epoch = device.epoch;
    state.sent = 0;
  }
  let left = TURN_BYTES_MAX;
  const more = device.serve(QUEUE.transmit, (chain) => {
    while (state.sent < chain.readableBytes) {
      const part = piece.subarray(0, Math.min(chain.readableBytes - state.sent, output.room, PIECE_BYTES, left));
      if (part.byteLength === 0) return 'later';
      if (!chain.read(state.sent, part)) return 'broken';
      output.write(part);
      state.sent += part.byteLength;
      state.bytes += part.byteLength;
      left -= part.byteLength;
    }
    state.sent = 0;
    return 0;
  });
  return more || left === 0;
}

/** Linux reads the size only when it is told of a change (drivers/char/virtio_console.c, config_work_handler). */
function tellSize(state: ConsoleState): void {
  const { device } = state;
  if (state.toldEpoch === device.epoch || !device.isLive) return;
  state.toldEpoch = device.epoch;
  device.changeConfig(() => undefined);
}

/** Moves what was typed; true when there may be more. */
function receive({ device, input }: ConsoleState): boolean {
  if (input.length === 0) return false;
  return device.serve(QUEUE.receive, (chain) => {
    if (input.length === 0) return 'later';
    if (chain.writableBytes === 0) return 0;
    const bytes = input.read(Math.min(chain.writableBytes, PIECE_BYTES));
    return chain.write(0, bytes) ? bytes.byteLength : 'broken';
  });
}

const virtioConsole = actor<VirtioConsoleConfig, VirtioConsoleProtocol, ConsoleState>({
  name: 'virtio-console',
  mailboxMax: 16,
  handlerBudgetMs: MACHINE_HANDLER_BUDGET_MS,
  supervision: { strategy: 'one-for-one', restartsMax: 10, withinMs: 10_000, otherwise: 'stop' },
  start({ place, output, input, columns, rows }, context) {
    const shape = {
      deviceId: DEVICE.console,
      features: [FEATURE_SIZE],
      queueSizes: [QUEUE_SIZE, QUEUE_SIZE],
      configBytes: ConsoleSpace.sizeBytes,
      configWritable: [0, 0],
    } as const;
    const device = new VirtioDevice(place, shape, {
      ring: (number) => context.ring({ actor: number }, 1),
      warn: (text) => context.log.warn(text),
    });
    if (context.incarnation > 0) context.ring(context.self, 1);
    else ConsoleSpace.write(device.config, 0, { columns, rows, portsMax: 1, emergencyWrite: 0 });
    const streams = { output: new ByteStream(output), input: new ByteStream(input) };
    return ok({ device, ...streams, sent: 0, epoch: device.epoch, bytes: 0, toldEpoch: -1 });
  },
  on: {
    flush(state, _body, context) {
      let turns = 0;
      while (transmit(state) && ++turns < FLUSH_TURNS_MAX);
      if (turns === FLUSH_TURNS_MAX) context.ring(context.self, 1);
      return ok({ bytes: state.bytes });
    },
    resize({ device }, { columns, rows }) {
      device.changeConfig((config) => {
        ConsoleSpace.write(config, 0, { columns, rows, portsMax: 1, emergencyWrite: 0 });
      });
    },
  },
  rang(state, _flags, context) {
    state.device.takeKicks();
    tellSize(state);
    const moreOut = transmit(state);
    const moreIn = receive(state);
    if (moreOut || moreIn) context.ring(context.self, 1);
  },
});
export default virtioConsole;

/** How its worker is made. */
export const virtioConsoleKind = actorKind(virtioConsole, { module: new URL(import.meta.url), heapMegabytesMax: 32 });
