/**
 * A host: the physical memory that all its VMs share, the hypervisor core that owns it, and, from the first Gunyah VM on, one
 * resource manager with the launcher that gives the VMs of guests their threads. What a VM consists of beside that is in
 * cli/machine; how many there are and how they are linked is the caller's business.
 */
import { availableParallelism } from 'node:os';
import { hypervisorKind } from '../../actors/hypervisor/hypervisor.actor.js';
import type { ProcessorPlace } from '../../actors/hypervisor/processor-orders.js';
import type { ActorSystem } from '../../actors/runtime/system.js';
import { vcpuKind } from '../../actors/vcpu/vcpu.actor.js';
import { assert } from '../../bus/assert.js';
import { consoleKind } from '../../devices/uart/console.actor.js';
import { BuildFailure, CoreClient } from './core-client.js';
import type { GunyahPlatform, PlatformOptions } from './gunyah-platform.js';
import type { HostOptions, HostParts, WorkerKinds } from './host-parts.js';
import { ProcessorLauncher, processorPlace } from './processor-launcher.js';

/** Pages of the machine's memory: all 4 GiB are reserved, and cost nothing before they are touched. */
const WASM_PAGES = 65_536;

/** vCPUs of Gunyah VMs that execute guest code at once: as many as the host has processors, within what the core takes. */
const RUN_TOKENS = Math.min(availableParallelism(), 31);

/** Frames of a host, for audits. */
export interface HostCensus {
  readonly freeFrames: number;
  readonly frames: number;
  readonly partitions: number;
  /** Kernel objects: capability spaces, queues, doorbells, threads and so on. */
  readonly objects: number;
  readonly capabilities: number;
}

/** See the head of this file. */
export class Host implements HostParts {
  readonly system: ActorSystem;
  readonly options: HostOptions;
  readonly memory: WebAssembly.Memory;
  readonly buffer: SharedArrayBuffer;
  readonly core: CoreClient;
  readonly kinds: WorkerKinds;
  readonly processors: ProcessorLauncher;
  #platform: Promise<GunyahPlatform> | undefined;
  #running: GunyahPlatform | undefined;

  private constructor(
    system: ActorSystem,
    options: HostOptions,
    memory: WebAssembly.Memory,
    core: CoreClient,
    place: ProcessorPlace,
  ) {
    this.system = system;
    this.options = options;
    this.memory = memory;
    const buffer: unknown = memory.buffer;
    assert(buffer instanceof SharedArrayBuffer, 'a shared memory has a shared buffer');
    this.buffer = buffer;
    this.core = core;
    const { warm = 0 } = options;
    this.kinds = { vcpu: { ...vcpuKind, warm }, console: { ...consoleKind, warm } };
    this.processors = new ProcessorLauncher(this, place);
  }

  /** Starts an empty host; throws BuildFailure. */
  static async start(system: ActorSystem, options: HostOptions): Promise<Host> {
    const memory = new WebAssembly.Memory({ initial: WASM_PAGES, maximum: WASM_PAGES, shared: true });
    const buffer: unknown = memory.buffer;
    assert(buffer instanceof SharedArrayBuffer, 'a shared memory has a shared buffer');
    const place = processorPlace();
    const config = { memory: { buffer }, runTokens: RUN_TOKENS, processors: place };
    const started = await system.spawn(hypervisorKind, config, { name: `${options.name}-core` });
    if (!started.ok) throw new BuildFailure(`the hypervisor core did not start (${started.error.reason})`);
    return new Host(system, options, memory, new CoreClient(system, started.value), place);
  }

  /** The resource manager, started when first asked for; `options` count then. Throws BuildFailure. */
  gunyah(options: PlatformOptions): Promise<GunyahPlatform> {
    this.#platform ??= this.#startPlatform(options);
    return this.#platform;
  }

  async #startPlatform(options: PlatformOptions): Promise<GunyahPlatform> {
    // Most machines have none: it is loaded by those that do.
    const { GunyahPlatform } = await import('./gunyah-platform.js');
    this.#running = await GunyahPlatform.start(this, options);
    return this.#running;
  }

  /** The resource manager, if it was ever asked for. */
  get platform(): GunyahPlatform | undefined {
    return this.#running;
  }

  /** A worker called `name` has died: true if it was of a VM that a guest had made, which alone ends with it. */
  lost(name: string): boolean {
    return this.#running?.lost(name) === true || this.processors.lost(name);
  }

  /** Loads the workers that are kept for the next VM; answered when they wait. */
  async prepare(): Promise<void> {
    await Promise.all(Object.values(this.kinds).map((kind) => this.system.prepare(kind)));
  }

  /** What the core holds. */
  census(): Promise<HostCensus> {
    return this.core.ask('census', {});
  }

  /** Ends resource manager and core; every VM was disposed before. */
  async close(): Promise<void> {
    await this.#running?.close();
    await this.processors.close();
    await this.system.stop(this.core.ref);
  }
}
