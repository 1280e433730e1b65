/** The vCPUs of a machine as a GDB session's target: every request is a message to the vCPU's actor. */

import type { ActorContext } from '../runtime/actor.js';
import type { ActorRef } from '../runtime/protocol.js';
import { POWER, STOP, VmBlock } from '../shared-state/vm/vm-block.js';
import { DEBUG_BYTES_MAX, type DebugReports, type DebugStop } from '../vcpu/debug.protocol.js';
import type { VcpuProtocol } from '../vcpu/vcpu.protocol.js';
import type { GdbConfig, GdbProtocol } from './gdb.protocol.js';
import type { Points } from './points.js';
import type { Action, GdbTarget } from './session.js';

/** A vCPU answers between two slices of a millisecond; on a busy host that may take long. */
const PATIENCE = { timeoutMs: 20_000 } as const;

/** See the head of this file. */
export class VcpuTarget implements GdbTarget {
  readonly cpus: number;
  readonly system: readonly string[];
  readonly #context: ActorContext<GdbProtocol>;
  readonly #processors: readonly ActorRef<VcpuProtocol>[];
  readonly #block: VmBlock;
  /** vCPUs known to stand still, and their registers where nothing has changed them since. */
  readonly #held: boolean[] = [];
  readonly #files: (Uint8Array | undefined)[] = [];
  #turn = 0;
  /** When the guest's clock began to stand still, or undefined while it goes; and for how long it has stood before. */
  #stoppedMs: number | undefined;
  #awayMs = 0;

  constructor(context: ActorContext<GdbProtocol>, config: GdbConfig) {
    this.#context = context;
    this.#block = new VmBlock(config.memory.buffer, config.block);
    this.#processors = config.processors;
    this.cpus = config.processors.length;
    this.system = config.systemRegisters;
  }

  #cpu(cpu: number): ActorRef<VcpuProtocol> {
    // WHY: the session counts vCPUs from 0 to cpus - 1.
    return this.#processors[cpu] as ActorRef<VcpuProtocol>;
  }

  isOn(cpu: number): boolean {
    return this.#block.power(cpu) !== POWER.off;
  }

  /** A vCPU tells that it stopped; false for old news. */
  stopped({ cpu, turn, file }: DebugStop): boolean {
    if (turn !== this.#turn) return false;
    this.#held[cpu] = true;
    this.#files[cpu] = file;
    return true;
  }

  async registers(cpu: number): Promise<Uint8Array | undefined> {
    const known = this.#files[cpu];
    if (known !== undefined) return known.slice();
    const answer = await this.#context.ask(this.#cpu(cpu), 'debugRegisters', {}, PATIENCE);
    if (answer.ok) this.#files[cpu] = answer.value.file.slice();
    return answer.ok ? answer.value.file : undefined;
  }

  async setRegisters(cpu: number, file: Uint8Array): Promise<boolean> {
    this.#files[cpu] = undefined;
    return (await this.#context.ask(this.#cpu(cpu), 'debugSetRegisters', { file }, PATIENCE)).ok;
  }

  async systemRegister(cpu: number, index: number): Promise<bigint | undefined> {
    const answer = await this.#context.ask(this.#cpu(cpu), 'debugSystem', { index }, PATIENCE);
    return answer.ok ? BigInt(answer.value.value) : undefined;
  }

  async setSystemRegister(cpu: number, index: number, value: bigint): Promise<boolean> {
    this.#files[cpu] = undefined;
    return (await this.#context.ask(this.#cpu(cpu), 'debugSetSystem', { index, value }, PATIENCE)).ok;
  }

  async read(cpu: number, address: bigint, bytes: number): Promise<Uint8Array | undefined> {
    const whole = new Uint8Array(bytes);
    let done = 0;
    while (done < bytes) {
      const here = {
        address: BigInt.asUintN(64, address + BigInt(done)),
        bytes: Math.min(DEBUG_BYTES_MAX, bytes - done),
      };
      const answer = await this.#context.ask(this.#cpu(cpu), 'debugRead', here, PATIENCE);
      if (!answer.ok) break;
      whole.set(answer.value.bytes, done);
      done += answer.value.bytes.length;
      if (answer.value.bytes.length < here.bytes) break;
    }
    return done === 0 && bytes > 0 ? undefined : whole.subarray(0, done);
  }

  async write(cpu: number, address: bigint, bytes: Uint8Array): Promise<boolean> {
    for (let at = 0; at < bytes.length; at += DEBUG_BYTES_MAX) {
      const piece = { address: address + BigInt(at), bytes: bytes.slice(at, at + DEBUG_BYTES_MAX) };
      if (!(await this.#context.ask(this.#cpu(cpu), 'debugWrite', piece, PATIENCE)).ok) return false;
    }
    return true;
  }

  async setPoints({ breakpoints, watchpoints }: Points): Promise<void> {
    const points = { breakpoints, watchpoints };
    await Promise.all(this.#processors.map((ref) => this.#context.ask(ref, 'debugPoints', points, PATIENCE)));
  }

  async go(actions: readonly Action[]): Promise<void> {
    if (this.#stoppedMs !== undefined) this.#awayMs += this.#context.clock.monotonicMs() - this.#stoppedMs;
    this.#stoppedMs = undefined;
    const awayMs = this.#awayMs;
    const turn = ++this.#turn;
    await Promise.all(
      actions.map(async (action, cpu) => {
        if (action === 'stay') return;
        this.#held[cpu] = false;
        this.#files[cpu] = undefined;
        await this.#context.ask(this.#cpu(cpu), 'debugGo', { step: action === 'step', awayMs, turn }, PATIENCE);
      }),
    );
  }

  async stopAll(): Promise<void> {
    const reporter: ActorRef<DebugReports> = { actor: this.#context.self.actor };
    await Promise.all(
      this.#processors.map(async (ref, cpu) => {
        if (this.#held[cpu] === true) return;
        const answer = await this.#context.ask(ref, 'debugStop', { reporter }, PATIENCE);
        this.#held[cpu] = answer.ok;
      }),
    );
    this.#stoppedMs ??= this.#context.clock.monotonicMs();
  }

  kill(): void {
    this.#block.end(STOP.requested);
    for (const ref of this.#processors) this.#context.ring(ref, 1);
  }
}
