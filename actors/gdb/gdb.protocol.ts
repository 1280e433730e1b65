/** Messages of the GDB stub, and what it is started with. */
import type { ActorRef, Ask } from '../runtime/protocol.js';
import type { ListenToken } from '../runtime/sockets.js';
import type { DebugReports } from '../vcpu/debug.protocol.js';
import type { VcpuProtocol } from '../vcpu/vcpu.protocol.js';

/** The stub's messages. */
export type GdbProtocol = DebugReports & {
  /** Where it listens. */
  where: Ask<object, { port: number }>;
  /** Stops all vCPUs before their first instruction; the first debugger lets them go on. */
  hold: Ask<object, object>;
  /** The machine has ended: GDB is told, with the guest's exit code. */
  machineEnded: Ask<{ code: number }, object>;
};

/** See the head of this file. */
export interface GdbConfig {
  readonly listen: ListenToken;
  readonly processors: readonly ActorRef<VcpuProtocol>[];
  /** Names of the system registers a vCPU shows, in its order. */
  readonly systemRegisters: readonly string[];
  /** The machine's memory and the place of its VM's block, for ending it. */
  readonly memory: WebAssembly.Memory;
  readonly block: number;
}
