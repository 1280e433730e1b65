/** `--gdb PORT[,wait]`: the stub as part of a machine. */
import { gdbKind } from '../../actors/gdb/gdb.actor.js';
import { whyNotOpened } from '../../actors/runtime/network.js';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import { loopbackPort } from '../../actors/runtime/sockets.js';
import type { ActorSystem } from '../../actors/runtime/system.js';
import type { VcpuProtocol } from '../../actors/vcpu/vcpu.protocol.js';
import { err, ok, type Result } from '../../bus/result.js';
import { VISIBLE_REGISTERS } from '../../cpu/debug-access.js';

/** What the option asks for. */
export interface GdbRequest {
  /** 0: any free port. */
  readonly port: number;
  /** The machine stands still until GDB lets it go on. */
  readonly waits: boolean;
}

/** Reads the option's argument; the error is a sentence. */
export function parseGdb(text: string): Result<GdbRequest, string> {
  const found = /^(\d{1,5})(,wait)?$/.exec(text);
  const port = Number(found?.[1]);
  if (found === null || port > 65_535)
    return err(`--gdb takes PORT or PORT,wait (a port from 0 to 65535), not "${text}"`);
  return ok({ port, waits: found[2] !== undefined });
}

/** A stub that listens. */
export interface GdbStub {
  readonly port: number;
  /** Tells a connected debugger that the guest has ended. */
  ended(code: number): Promise<void>;
  readonly actor: ActorRef<never>;
}

/** What the stub is for. */
export interface DebuggedMachine {
  readonly processors: readonly ActorRef<VcpuProtocol>[];
  readonly memory: WebAssembly.Memory;
  readonly block: number;
}

/** Starts it, before the machine's first instruction; the error is a sentence. */
export async function startGdbStub(
  system: ActorSystem,
  { port, waits }: GdbRequest,
  machine: DebuggedMachine,
  name: string,
): Promise<Result<GdbStub, string>> {
  const systemRegisters = VISIBLE_REGISTERS.map((row) => row.name);
  const config = { listen: loopbackPort(port), ...machine, systemRegisters };
  const started = await system.spawn(gdbKind, config, { name: `${name}-gdb` });
  if (!started.ok) {
    const { error } = started;
    const why = error.reason === 'startRefused' ? whyNotOpened(String(error.error)) : JSON.stringify(error);
    return err(`--gdb: 127.0.0.1:${port} cannot be listened at: ${why}`);
  }
  const ref = started.value;
  const where = await system.sender.ask(ref, 'where', {});
  const held = !waits || (await system.sender.ask(ref, 'hold', {}, { timeoutMs: 30_000 })).ok;
  if (!where.ok || !held) return err('--gdb: the stub does not answer');
  return ok({
    port: where.value.port,
    actor: ref,
    async ended(code) {
      await system.sender.ask(ref, 'machineEnded', { code });
    },
  });
}
