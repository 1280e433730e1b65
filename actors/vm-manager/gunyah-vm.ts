/**
 * One VM behind its file descriptor, as the driver of a generation keeps it (gunyah.md 8.3): what is done when (v6 allocates and gives
 * memory at once, v14 gives it at the start, v17 does everything at the start), and what closing the last reference does.
 */
import { err, ok, type Result } from '../../bus/result.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import type { Profile } from '../abi/gunyah/identity.js';
import type { PayloadReader } from '../resource-manager/payload.js';
import { EXIT_TYPE, VM_STATE } from '../resource-manager/rm-messages.js';
import { type Block, DemandPages } from './demand-pages.js';
import type { Errno } from './errno.js';
import type { ManagerHost, UserMemory } from './manager-host.js';
import { Turns } from './turns.js';
import { MAP, MEM, VM_STATUS } from './uapi.js';
import { VmFunctions } from './vm-functions.js';
import { type BindingRequest, type CmaRequest, type Region, type RegionRequest, VmMemory } from './vm-memory.js';
import type { VmRequests } from './vm-requests.js';

/** How a VM ended, as VM_EXITED says it. */
export interface VmExit {
  readonly type: number;
  readonly reasonBytes: number;
  /** First word of the reason. */
  readonly reason: number;
}

/** An image that somebody else authenticates: the VM's number, the peripheral that does, and where the image lies. */
interface TrustedVm {
  readonly vmId: number;
  readonly peripheralId: number;
  readonly guestPhysAddr: bigint;
  readonly size: bigint;
}
interface Range {
  readonly address: bigint;
  readonly bytes: bigint;
}
/** What CONFIG_IMAGE names: what of the guest's addresses the parcel is. */
interface ImageParcel {
  readonly handle: number;
  readonly guestAddress: bigint;
  readonly bytes: bigint;
}
/** Kinds of CONFIG_IMAGE (gunyah.md 5.5.1). */
const AUTH = { none: 0, platform: 1, protectedVm: 2 } as const;
/** What a trusted image begins with: headers and hashes. */
const METADATA_BYTES = 8192n;
const PAGE = BigInt(HYP_PAGE_BYTES);
const ADDRESS_END = 1n << 64n;
/** What v17 gives as the reason of a stop. */
const STOP_REASON = 3;
const RIGHT_WRITE = 2;
/** Registers of each set: X 0 to 31, PC, SP. */
const BOOT_SETS = [32, 1, 3] as const;

type Answer = Promise<Result<number, Errno>>;
const done: Result<number, Errno> = ok(0);

/** See the head of this file. */
export class GunyahVm {
  readonly memory = new VmMemory();
  readonly functions: VmFunctions;
  readonly #pages: DemandPages;
  readonly #generation: Profile;
  readonly #requests: VmRequests;
  readonly #boot: { readonly set: number; readonly index: number; readonly value: bigint }[] = [];
  #firmware: Range | undefined;
  #trusted: TrustedVm | undefined;
  #auth: number = AUTH.none;
  #tree: Range | undefined;
  /** v17: the parcel of the device tree, while it is one. */
  #treeParcel: number | undefined;
  #vmid: number | undefined;
  #life: 'new' | 'failed' | 'running' | 'exited' = 'new';
  #exit: VmExit | undefined;
  readonly #waiting: (() => void)[] = [];
  #state: number = VM_STATE.LOAD;
  readonly #turns = new Turns();

  constructor(generation: Profile, requests: VmRequests, host: ManagerHost) {
    this.#generation = generation;
    this.#requests = requests;
    this.functions = new VmFunctions(host);
    this.#pages = new DemandPages(host);
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
    if (isV6 && request.memorySize === 0n) return this.#turns.take(() => this.#deleteRegion(request.label));
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
    return this.#turns.take(async () => {
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

  /** MAP_MEM; also while it runs. */
  mapMem(request: BindingRequest): Answer {
    return this.#turns.take(async () => {
      if ((request.flags & MAP.unmap) === 0) {
        const bound = this.memory.bind(request);
        return bound.ok ? done : bound;
      }
      const bound = this.memory.bound(request);
      if (!bound.ok) return bound;
      if (bound.value.handle !== undefined) return err('EBUSY');
      const back = await this.#pages.reclaim(bound.value.guestAddress, bound.value.bytes);
      if (!back.ok) return back;
      this.memory.remove(bound.value);
      return done;
    });
  }
  /** MAP_CMA_MEM. */
  mapCmaMem(request: CmaRequest): Result<number, Errno> {
    const added = this.memory.addCma(request);
    return added.ok ? done : added;
  }
  /** RECLAIM_REGION: pages that came when they were wanted, and that come again if they are. */
  async reclaimRegion(address: bigint, bytes: bigint): Answer {
    if (address % PAGE !== 0n || bytes % PAGE !== 0n) return err('EINVAL');
    const back = await this.#pages.reclaim(address, bytes);
    return back.ok ? done : back;
  }

  /** A processor wants a page that is not there. */
  async demandPage(address: bigint, isWrite: boolean): Promise<Result<undefined, Errno>> {
    const region = this.memory.holding(address, 1n);
    // What was given whole is there; who faults in it wants more than it was given.
    if (region === undefined) return err('ENOENT');
    if (region.isCma) return err('EOPNOTSUPP');
    if (region.handle !== undefined || (isWrite && (region.rights & RIGHT_WRITE) === 0)) return err('EPERM');
    return this.#pages.provide(region, address);
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
    if (this.#life !== 'new') return err('EINVAL');
    this.#boot.push({ set, index, value });
    return done;
  }

  /** SET_FW_CONFIG; a VM with firmware is a protected one unless it was said to be another. */
  setFirmware(address: bigint, bytes: bigint): Result<number, Errno> {
    if (address + bytes >= ADDRESS_END) return err('EOVERFLOW');
    this.#firmware = { address, bytes };
    if (this.#auth === AUTH.none) this.#auth = AUTH.protectedVm;
    return done;
  }
  /** SET_AUTH_TYPE of a trusted VM. */
  setTrusted(vm: TrustedVm): Result<number, Errno> {
    if (vm.guestPhysAddr + vm.size >= ADDRESS_END) return err('EOVERFLOW');
    this.#trusted = vm;
    this.#auth = AUTH.platform;
    return done;
  }

  // ---- start ----

  /** VM_START. */
  start(): Answer {
    return this.#turns.take(async () => {
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
    const image = this.#image();
    if (!image.ok) return image;
    const { region, tree } = image.value;
    const vmid = await this.#number();
    if (!vmid.ok) return vmid;
    // v17 leaves the number of its access list at 0 when it shares (section 8.3).
    if (this.#generation === 'P17' && !region.isLent && !region.isCma) return err('ENOMEM');
    // It lends the device tree's part of its binding alone; the rest comes when it is wanted.
    const isPaged = this.#generation === 'P17' && this.#trusted === undefined && !region.isCma;
    const blocks = isPaged ? this.#pages.holding(region, tree.address, tree.bytes) : [];
    if (blocks === undefined) return err('ENOENT');
    for (const part of this.#givenWhole(region)) {
      if (part.handle !== undefined || (isPaged && part === region)) continue;
      const given = await this.#give(part);
      if (!given.ok) return given;
    }
    const lent = await this.#imageParcel(vmid.value, region, blocks);
    if (!lent.ok) return lent;
    const parcel = lent.value;
    const configured = await requests.configImage(vmid.value, {
      ...{ auth: this.#auth, handle: parcel.handle },
      imageOffset: (this.#trusted?.guestPhysAddr ?? parcel.guestAddress) - parcel.guestAddress,
      imageBytes: this.#trusted === undefined ? 0n : METADATA_BYTES,
      ...{ treeOffset: tree.address - parcel.guestAddress, treeBytes: tree.bytes },
    });
    if (!configured.ok) return configured;
    const prepared = await this.#prepare(vmid.value, parcel);
    if (!prepared.ok) return prepared;
    const initialised = await requests.init(vmid.value);
    if (!initialised.ok) return initialised;
    // Only VMs that nobody authenticates begin where their VMM wants.
    for (const { set, index, value } of this.#auth === AUTH.none ? this.#boot : []) {
      const written = await requests.setBootContext(vmid.value, set, index, value);
      if (!written.ok) return written;
    }
    if (this.#generation !== 'P6') {
      const resources = await requests.resources(vmid.value);
      if (!resources.ok) return resources;
      this.functions.connect(resources.value);
      this.#pages.connect(resources.value);
    }
    const started = await requests.start(vmid.value);
    if (!started.ok) return started;
    this.#pages.adopt(blocks);
    this.#treeParcel = undefined;
    return done;
  }

  /** The parcel of the image: `blocks` of the region, or without any the region as it was given. */
  async #imageParcel(
    vmid: number,
    { handle = 0, guestAddress, bytes, rights, label }: Region,
    blocks: readonly Block[],
  ): Promise<Result<ImageParcel, Errno>> {
    const [first] = blocks;
    if (first === undefined) return ok({ handle, guestAddress, bytes });
    const given = await this.#requests.give(true, vmid, rights, label, blocks);
    if (!given.ok) return given;
    this.#treeParcel = given.value;
    const size = blocks.reduce((sum, block) => sum + block.bytes, 0n);
    return ok({ handle: given.value, guestAddress: first.guest, bytes: size });
  }

  /** The region that is the image's parcel, and the device tree in it. */
  #image(): Result<{ readonly region: Region; readonly tree: Range }, Errno> {
    const [tree, trusted] = [this.#tree, this.#trusted];
    if (tree === undefined) return err('EINVAL');
    const region = this.memory.holding(tree.address, tree.bytes);
    if (tree.bytes === 0n) return err('EINVAL');
    if (region === undefined) return err(this.#generation === 'P17' && trusted === undefined ? 'ENOENT' : 'EINVAL');
    if (trusted === undefined) return ok({ region, tree });
    const { guestPhysAddr, size } = trusted;
    const isInside = tree.address >= guestPhysAddr && tree.address + tree.bytes <= guestPhysAddr + size;
    return isInside && this.memory.holding(guestPhysAddr, size) === region ? ok({ region, tree }) : err('EINVAL');
  }

  /** Its VMID; a trusted VM's is known before, and takes the place of one that CREATE_VM took. */
  async #number(): Answer {
    const wanted = this.#trusted?.vmId ?? 0;
    if (this.#vmid !== undefined && (wanted === 0 || wanted === this.#vmid)) return ok(this.#vmid);
    if (this.#vmid !== undefined) {
      const freed = await this.#requests.deallocate(this.#vmid);
      if (!freed.ok) return freed;
      this.#vmid = undefined;
    }
    const allocated = await this.#requests.allocate(wanted);
    if (allocated.ok) this.#vmid = allocated.value;
    return allocated;
  }

  /** What is given before the start: all of it (v14, trusted VMs), or the image, the firmware and what lies in one piece. */
  #givenWhole(image: Region): readonly Region[] {
    if (this.#generation === 'P6') return [image];
    if (this.#generation === 'P14' || this.#trusted !== undefined) return this.memory.all();
    return this.memory.all().filter((region) => region === image || region === this.#firmwareRegion || region.isCma);
  }
  get #firmwareRegion(): Region | undefined {
    return this.#firmware && this.memory.holding(this.#firmware.address, this.#firmware.bytes);
  }

  /** Between CONFIG_IMAGE and INIT. */
  async #prepare(vmid: number, image: ImageParcel): Answer {
    const requests = this.#requests;
    const [trusted, firmware, memory] = [this.#trusted, this.#firmware, this.#firmwareRegion];
    if (trusted !== undefined) {
      const authenticated = await requests.authImage(vmid, trusted.peripheralId);
      if (!authenticated.ok) return authenticated;
    }
    if (firmware !== undefined && firmware.bytes > 0n) {
      if (memory?.handle === undefined) return err('ENOENT');
      const offset = firmware.address - memory.guestAddress;
      const set = await requests.setFirmwareMem(vmid, memory.handle, offset, firmware.bytes);
      if (!set.ok) return set;
    }
    if (this.#generation !== 'P17' || trusted !== undefined) return done;
    const lent = this.memory.all().filter((region) => region.isLent && !region.isCma && region !== memory);
    if (lent.length > 0) {
      const paged = await requests.setDemandPaging(vmid, lent);
      if (!paged.ok) return paged;
    }
    const placed = await requests.setAddressLayout(vmid, image.guestAddress, image.bytes);
    return placed.ok ? done : placed;
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
    return this.#turns.take(async () => {
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
    // Pages that do not come back are the VM's until its reset returns all of them.
    await this.#pages.reclaim(0n, ADDRESS_END);
    if (this.#life !== 'new') {
      const reset = await requests.reset(vmid);
      if (reset.ok) await this.#until(() => this.#state === VM_STATE.RESET);
    }
    await this.#reclaimAll();
    await requests.deallocate(vmid);
  }

  /** Memory that does not come back must not be used again: its region stays. */
  async #reclaimAll(): Promise<void> {
    if (this.#treeParcel !== undefined) await this.#requests.reclaim(this.#treeParcel);
    this.#treeParcel = undefined;
    for (const region of [...this.memory.all()]) {
      if (region.handle === undefined || (await this.#requests.reclaim(region.handle)).ok) this.memory.remove(region);
    }
  }
}
