/**
 * One VM behind its file descriptor, as the driver of a generation keeps it (gunyah.md 8.3): what is done when (v6 allocates and gives
 * memory at once, v14 gives it at the start, v17 does everything at the start), and what closing the last reference does.
 */
import { err, ok, type Result } from '../../bus/result.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import type { Profile } from '../abi/gunyah/identity.js';
import type { PayloadReader } from '../resource-manager/payload.js';
import { EXIT_TYPE, VM_STATE } from '../resource-manager/rm-messages.js';
import type { Errno } from './errno.js';
import type { ManagerHost, UserMemory } from './manager-host.js';
import { MEM, VM_STATUS } from './uapi.js';
import { VmFunctions } from './vm-functions.js';
import { type BindingRequest, type Region, type RegionRequest, VmMemory } from './vm-memory.js';
import type { VmRequests } from './vm-requests.js';

/** How a VM ended, as VM_EXITED says it. */
export interface VmExit {
  readonly type: number;
  readonly reasonBytes: number;
  /** First word of the reason. */
  readonly reason: number;
}

const PAGE = BigInt(HYP_PAGE_BYTES);
const ADDRESS_END = 1n << 64n;
/** What v17 gives as the reason of a stop. */
const STOP_REASON = 3;
/** Registers of each set: X 0 to 31, PC, SP. */
const BOOT_SETS = [32, 1, 3] as const;

type Answer = Promise<Result<number, Errno>>;
const done: Result<number, Errno> = ok(0);

/** See the head of this file. */
export class GunyahVm {
  readonly memory = new VmMemory();
  readonly functions: VmFunctions;
  readonly #generation: Profile;
  readonly #requests: VmRequests;
  readonly #boot: { readonly set: number; readonly index: number; readonly value: bigint }[] = [];
  #tree: { readonly address: bigint; readonly bytes: bigint } | undefined;
  #vmid: number | undefined;
  #life: 'new' | 'failed' | 'running' | 'exited' = 'new';
  #exit: VmExit | undefined;
  readonly #waiting: (() => void)[] = [];
  #state: number = VM_STATE.LOAD;
  #work: Promise<unknown> = Promise.resolve();

  constructor(generation: Profile, requests: VmRequests, host: ManagerHost) {
    this.#generation = generation;
    this.#requests = requests;
    this.functions = new VmFunctions(host);
  }

  /** VMID, once it has one. */
  get vmid(): number | undefined {
    return this.#vmid;
  }
  get isRunning(): boolean {
    return this.#life === 'running';
  }
  /** How it ended, if it did. */
  get exit(): VmExit | undefined {
    return this.#exit;
  }

  /** CREATE_VM: v6 and v14 allocate at once. */
  async create(): Answer {
    if (this.#generation === 'P17') return done;
    const allocated = await this.#requests.allocate();
    if (!allocated.ok) return allocated;
    this.#vmid = allocated.value;
    return done;
  }

  // ---- memory ----

  /** SET_USER_MEM_REGION; `isLent`: by Android's sibling of it. */
  setUserMemRegion(request: RegionRequest, mapped: readonly UserMemory[], isLent: boolean): Answer {
    const isV6 = this.#generation === 'P6';
    if (isV6 && request.memorySize === 0n) return this.#serially(() => this.#deleteRegion(request.label));
    const known = MEM.read | MEM.write | MEM.exec | (isV6 ? MEM.lend : 0);
    const region = this.memory.checkRegion(
      request,
      known,
      mapped,
      isLent || (isV6 && (request.flags & MEM.lend) !== 0),
    );
    if (!region.ok) return Promise.resolve(region);
    this.memory.add(region.value);
    if (!isV6) return Promise.resolve(done);
    return this.#serially(async () => {
      const given = await this.#give(region.value);
      if (!given.ok) this.memory.remove(region.value);
      return given;
    });
  }

  async #deleteRegion(label: number): Answer {
    const region = this.memory.labelled(label);
    if (region === undefined) return err('EINVAL');
    if (region.handle !== undefined) {
      const back = await this.#requests.reclaim(region.handle);
      if (!back.ok) return back;
    }
    this.memory.remove(region);
    return done;
  }

  /** MAP_MEM. */
  mapMem(request: BindingRequest): Result<number, Errno> {
    if (this.#life !== 'new') return err('EBUSY');
    const bound = this.memory.bind(request);
    return bound.ok ? done : bound;
  }

  async #give(region: Region): Answer {
    if (this.#vmid === undefined) return err('ENODEV');
    // v6 asks who it is before it shares.
    if (this.#generation === 'P6' && !region.isLent) {
      const self = await this.#requests.getVmid(true);
      if (!self.ok) return self;
    }
    const ranges = [{ address: region.address, bytes: region.bytes }];
    const given = await this.#requests.give(region.isLent, this.#vmid, region.rights, region.label, ranges);
    if (!given.ok) return given;
    region.handle = given.value;
    return done;
  }

  // ---- configuration ----

  /** SET_DTB_CONFIG. */
  setDtbConfig(address: bigint, size: bigint): Result<number, Errno> {
    if (this.#generation === 'P17' && address + size >= ADDRESS_END) return err('EOVERFLOW');
    this.#tree = { address, bytes: ((size + PAGE - 1n) / PAGE) * PAGE };
    return done;
  }

  /** SET_BOOT_CONTEXT: `register` is set << 8 | index. */
  setBootContext(register: number, reserved: number, value: bigint): Result<number, Errno> {
    const [set, index] = [register >>> 8, register & 0xff];
    if (reserved !== 0 || index >= (BOOT_SETS[set] ?? 0)) return err('EINVAL');
    if (this.#life !== 'new') return err('EBUSY');
    this.#boot.push({ set, index, value });
    return done;
  }

  // ---- start ----

  /** VM_START. */
  start(): Answer {
    return this.#serially(async () => {
      if (this.#life === 'running') return done;
      if (this.#life !== 'new') return this.#generation === 'P6' ? done : err('ENODEV');
      const started = await this.#start();
      if (started.ok) {
        this.#life = 'running';
        return started;
      }
      this.#life = 'failed';
      this.#wake();
      return this.#generation === 'P6' ? err('EINVAL') : started;
    });
  }

  async #start(): Answer {
    const requests = this.#requests;
    const tree = this.#tree;
    const region = tree && this.memory.holding(tree.address, tree.bytes);
    if (tree === undefined || region === undefined) return err('EINVAL');
    if (this.#vmid === undefined) {
      const allocated = await requests.allocate();
      if (!allocated.ok) return allocated;
      this.#vmid = allocated.value;
    }
    const vmid = this.#vmid;
    // v17 leaves the number of its access list at 0 when it shares (section 8.3).
    if (this.#generation === 'P17' && !region.isLent) return err('ENOMEM');
    const isAtOnce = this.#generation === 'P14';
    for (const part of isAtOnce ? this.memory.all() : [region]) {
      if (part.handle !== undefined) continue;
      const given = await this.#give(part);
      if (!given.ok) return given;
    }
    const handle = region.handle ?? 0;
    const configured = await requests.configImage(vmid, handle, tree.address - region.guestAddress, tree.bytes);
    if (!configured.ok) return configured;
    if (this.#generation === 'P17') {
      const placed = await requests.setAddressLayout(vmid, region.guestAddress, region.bytes);
      if (!placed.ok) return placed;
    }
    const initialised = await requests.init(vmid);
    if (!initialised.ok) return initialised;
    for (const { set, index, value } of this.#boot) {
      const written = await requests.setBootContext(vmid, set, index, value);
      if (!written.ok) return written;
    }
    if (this.#generation !== 'P6') {
      const resources = await requests.resources(vmid);
      if (!resources.ok) return resources;
      this.functions.connect(resources.value);
    }
    const started = await requests.start(vmid);
    return started.ok ? done : started;
  }

  // ---- what the resource manager tells ----

  /** VM_STATUS. */
  statusChanged(state: number): void {
    this.#state = state;
    this.#wake();
  }
  /** VM_EXITED: {u16 vmid, u16 type, u32 bytes, words}, of which the vmid has been read. */
  exited(content: PayloadReader): void {
    const [type, reasonBytes] = [content.u16(), content.u32()];
    this.#exit = { type, reasonBytes, reason: content.u32() };
    this.#life = 'exited';
    this.#wake();
  }
  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
  /** Resolves when it has exited, or its start has failed. */
  over(): Promise<void> {
    return this.#until(() => this.#life === 'exited' || this.#life === 'failed');
  }
  /** What a run page says of the end. */
  get endStatus(): number {
    if (this.#exit === undefined) return VM_STATUS.loadFailed;
    return this.#exit.type === EXIT_TYPE.SOFTWARE_ERROR || this.#exit.type === EXIT_TYPE.HARDWARE_ERROR
      ? VM_STATUS.crashed
      : VM_STATUS.exited;
  }

  // ---- the end ----

  /** The last reference is closed. */
  close(): Promise<void> {
    return this.#serially(async () => {
      const vmid = this.#vmid;
      if (vmid === undefined) return;
      if (this.#generation === 'P6') await this.#closeV6(vmid);
      else await this.#closeLater(vmid);
    });
  }

  /** v6: a polite stop that nobody waits for; memory that is still in use stays where it is. */
  async #closeV6(vmid: number): Promise<void> {
    if (this.#life === 'running') await this.#requests.stop(vmid, false, 0);
    await this.#reclaimAll();
  }

  async #closeLater(vmid: number): Promise<void> {
    const requests = this.#requests;
    if (this.#life === 'running') {
      const stopped = await requests.stop(vmid, true, STOP_REASON);
      if (stopped.ok) await this.#until(() => this.#exit !== undefined);
    }
    if (this.#life !== 'new') {
      const reset = await requests.reset(vmid);
      if (reset.ok) await this.#until(() => this.#state === VM_STATE.RESET);
    }
    await this.#reclaimAll();
    await requests.deallocate(vmid);
  }

  /** Memory that does not come back must not be used again: its region stays. */
  async #reclaimAll(): Promise<void> {
    for (const region of [...this.memory.all()]) {
      if (region.handle === undefined || (await this.#requests.reclaim(region.handle)).ok) this.memory.remove(region);
    }
  }

  #serially<T>(body: () => Promise<T>): Promise<T> {
    const result = this.#work.then(body);
    this.#work = result.catch(() => undefined);
    return result;
  }
}
