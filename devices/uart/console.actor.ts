/**
 * The PL011's console: owns the byte streams between the guest and whoever looks at its screen. Bytes the guest sent go to
 * `output`; bytes from `input` go into the receive FIFO as there is room, raising the interrupt.
 */

import { actor, actorKind } from '../../actors/runtime/actor.js';
import { MACHINE_HANDLER_BUDGET_MS } from '../../actors/runtime/limits.js';
import type { Ask } from '../../actors/runtime/protocol.js';
import { ByteStream } from '../../actors/shared-state/byte-stream/byte-stream.js';
import { Gic } from '../../actors/shared-state/gic/gic.js';
import { VmBlock, waker } from '../../actors/shared-state/vm/vm-block.js';
import { ok } from '../../bus/result.js';
import { SharedRegisters } from '../registers/shared-registers.js';
import { Pl011 } from './pl011.js';
import type { UartConfig } from './uart.config.js';

/** What the console is started with. */
export interface ConsoleConfig {
  readonly uart: UartConfig;
  /** To the screen, and from the keyboard (byte streams). */
  readonly output: SharedArrayBuffer;
  readonly input: SharedArrayBuffer;
  /** The VM whose interrupt line it drives. */
  readonly memory: WebAssembly.Memory;
  readonly block: number;
  readonly gic: number;
}

/** The console's messages; whoever writes to `input` or reads from a full `output` rings it. */
export type ConsoleProtocol = {
  /** Answered when everything the guest has sent so far is in `output`, or `output` is full. */
  flush: Ask<object, { bytes: number }>;
};

interface ConsoleState {
  readonly transmitted: ByteStream;
  readonly output: ByteStream;
  readonly input: ByteStream;
  readonly uart: Pl011;
  readonly shared: SharedRegisters<Pl011['state']>;
  bytes: number;
}

/** A full screen is tried again after this, in milliseconds. */
const RETRY_MS = 2;

/** Moves what can be moved; true when bytes are left because `output` is full. */
function pump(state: ConsoleState): boolean {
  const { transmitted, output, input, uart, shared } = state;
  while (transmitted.length > 0 && output.room > 0) {
    const bytes = transmitted.read(output.room);
    output.write(bytes);
    state.bytes += bytes.length;
  }
  if (input.length > 0) {
    shared.with(() => {
      for (const byte of input.read(uart.room)) uart.receive(byte);
    });
  }
  return transmitted.length > 0;
}

const console = actor<ConsoleConfig, ConsoleProtocol, ConsoleState>({
  name: 'console',
  mailboxMax: 16,
  handlerBudgetMs: MACHINE_HANDLER_BUDGET_MS,
  supervision: { strategy: 'one-for-one', restartsMax: 3, withinMs: 10_000, otherwise: 'stop' },
  start({ uart: config, output, input, memory, block, gic }, context) {
    const wake = waker(new VmBlock(memory.buffer, block), (number) => context.ring({ actor: number }, 1));
    const lines = new Gic(memory.buffer, gic, wake);
    const uart = new Pl011({ transmit: () => undefined, setLevel: (high) => lines.setLine(config.intid, high) });
    const shared = new SharedRegisters(config.registers, uart.state, uart.state.fifo);
    const stream = (buffer: SharedArrayBuffer): ByteStream => new ByteStream(buffer);
    const streams = { transmitted: stream(config.transmitted), output: stream(output), input: stream(input) };
    return ok({ ...streams, uart, shared, bytes: 0 });
  },
  on: {
    flush(state) {
      pump(state);
      return ok({ bytes: state.bytes });
    },
  },
  rang(state, _flags, context) {
    const again = (): void => {
      if (pump(state)) context.after(RETRY_MS, again);
    };
    again();
  },
});
export default console;

/** How its worker is made. */
export const consoleKind = actorKind(console, { module: new URL(import.meta.url), heapMegabytesMax: 32 });
