/** A hypervisor core with one partition whose processors run on real workers: for tests of the partition interface. */
import { hypervisorKind } from '../../actors/hypervisor/hypervisor.actor.js';
import type { PartitionFault } from '../../actors/hypervisor/partition.protocol.js';
import type { CoreProtocol } from '../../actors/hypervisor/port.protocol.js';
import type { ActorRef, AskFailure, AskKind, BodyOf, ReplyOf } from '../../actors/runtime/protocol.js';
import { ActorSystem } from '../../actors/runtime/system.js';
import { VmBlock, waker } from '../../actors/shared-state/vm/vm-block.js';
import { vcpuKind } from '../../actors/vcpu/vcpu.actor.js';
import type { VcpuProtocol } from '../../actors/vcpu/vcpu.protocol.js';
import { assert } from '../../bus/assert.js';
import { buildInterpreter } from '../../cpu/interpreter/build.js';
import { HELPERS } from '../../cpu/interpreter/helpers.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';
import { VCPU_AREA_BYTES } from '../../cpu/state.js';

/** Pages of 64 KiB: 256 MiB of machine. */
const WASM_PAGES = 4096;
const GIC_WINDOWS = { distributor: 0x800_0000, redistributors: 0x80a_0000 } as const;
const PATIENCE = { timeoutMs: 60_000 } as const;

/** What a verb answers: its reply, or why not. */
type Answer<K extends AskKind<CoreProtocol>> = ReplyOf<CoreProtocol, K> | PartitionFault | 'noAnswer';

/** See the head of this file. */
export class PartitionDriver {
  readonly system = new ActorSystem({ onLog: () => undefined, seed: 5 });
  readonly memory = new WebAssembly.Memory({ initial: WASM_PAGES, maximum: WASM_PAGES, shared: true });
  readonly bytes: Uint8Array;
  readonly #buffer: SharedArrayBuffer;
  readonly threads: ActorRef<VcpuProtocol>[] = [];
  #core: ActorRef<CoreProtocol> | undefined;

  constructor() {
    const buffer: unknown = this.memory.buffer;
    assert(buffer instanceof SharedArrayBuffer, 'a shared memory has a shared buffer');
    this.#buffer = buffer;
    this.bytes = new Uint8Array(buffer);
  }

  /** Starts the core. */
  async start(): Promise<void> {
    const started = await this.system.spawn(hypervisorKind, { memory: { buffer: this.#buffer } }, { name: 'core' });
    assert(started.ok, 'the core starts');
    this.#core = started.value;
  }

  /** Asks the core; a refusal is its name. */
  async ask<K extends AskKind<CoreProtocol>>(kind: K, body: BodyOf<CoreProtocol, K>): Promise<Answer<K>> {
    assert(this.#core !== undefined, 'the core was started');
    // WHY: the bodies are plain data; the answer is of this kind.
    const answer = await this.system.sender.ask(this.#core, kind, body as never, PATIENCE);
    if (answer.ok) return answer.value as ReplyOf<CoreProtocol, K>;
    const error = answer.error as PartitionFault | AskFailure<unknown>;
    return typeof error === 'string' ? error : 'noAnswer';
  }

  /** As {@link ask}, for what must be granted. */
  async get<K extends AskKind<CoreProtocol>>(
    kind: K,
    body: BodyOf<CoreProtocol, K>,
  ): Promise<ReplyOf<CoreProtocol, K>> {
    const answer = await this.ask(kind, body);
    assert(typeof answer !== 'string', `${kind}: ${String(answer)}`);
    return answer as ReplyOf<CoreProtocol, K>;
  }

  /** A partition with `cpus` processors, each with its thread attached; none runs. */
  async build(cpus: number, arenaBytes = 4 << 20): Promise<{ partition: number; block: VmBlock }> {
    const { partition } = await this.get('createPartition', {});
    const areaBytes = Math.ceil(VCPU_AREA_BYTES / 4096) * 4096;
    await this.ask('setProperty', { partition, property: 'processorCount', value: cpus });
    await this.ask('setProperty', { partition, property: 'processorAreaBytes', value: areaBytes });
    await this.ask('setProperty', { partition, property: 'processorArenaBytes', value: arenaBytes });
    const { block } = await this.get('initializePartition', { partition });
    const { bytes } = buildInterpreter(INSTRUCTIONS, HELPERS);
    const interpreter = new WebAssembly.Module(bytes);
    const shared = { memory: this.memory, interpreter, gic: GIC_WINDOWS, frontEnds: [], jit: true };
    const epochMs = this.system.clock.monotonicMs();
    for (let index = 0; index < cpus; index++) {
      const ticket = await this.get('createVp', { partition, index });
      const name = `vcpu${partition}.${index}`;
      const spawned = await this.system.spawn(vcpuKind, { ...shared, ticket, epochMs }, { name });
      assert(spawned.ok, 'a processor starts');
      this.threads.push(spawned.value);
      const attached = await this.ask('attachVp', { partition, index, actor: spawned.value.actor });
      assert(attached === undefined, `attachVp: ${attached}`);
    }
    return { partition, block: new VmBlock(this.#buffer, block) };
  }

  /** Turns a processor on as PSCI CPU_ON would. */
  turnOn(block: VmBlock, cpu: number, entry: number, x0: number): void {
    assert(block.powerOn(cpu, BigInt(entry), BigInt(x0)), 'the processor was off');
    waker(block, (actor) => this.system.sender.ring({ actor }, 1))(cpu);
  }

  /** Writes instruction words at byte `host` of the machine's memory. */
  place(host: number, words: readonly number[]): void {
    const view = new DataView(this.#buffer);
    for (const [n, word] of words.entries()) view.setUint32(host + n * 4, word, true);
  }

  /** A 64-bit word of the machine's memory. */
  read(host: number): bigint {
    return Atomics.load(new BigUint64Array(this.#buffer, host, 1), 0);
  }

  /** Ends everything. */
  close(): Promise<void> {
    return this.system.close();
  }
}

/** Register values as they travel. */
export function registerValues(values: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 16);
  const view = new DataView(bytes.buffer);
  for (const [n, value] of values.entries()) {
    view.setBigUint64(n * 16, BigInt.asUintN(64, value), true);
    view.setBigUint64(n * 16 + 8, value >> 64n, true);
  }
  return bytes;
}

/** The other way: values of 128 bits. */
export function fromRegisterValues(bytes: Uint8Array): bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const count = bytes.length / 16;
  return Array.from(
    { length: count },
    (_, n) => view.getBigUint64(n * 16, true) | (view.getBigUint64(n * 16 + 8, true) << 64n),
  );
}
