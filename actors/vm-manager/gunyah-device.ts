/**
 * /dev/gunyah for host-side VMMs: the driver's calls with their names and arguments, typed; answers are values or errnos. Behind it is
 * the VM manager's actor, and behind that the resource manager, as for a VMM under Linux.
 */

import { bytesOf, type Of } from '../../bus/layout/struct.js';
import { err, ok, type Result } from '../../bus/result.js';
import type { Profile } from '../abi/gunyah/identity.js';
import type { ActorRef, AskFailure } from '../runtime/protocol.js';
import type { Sender } from '../runtime/services.js';
import type { Errno } from './errno.js';
import type { UserMemory } from './manager-host.js';
import {
  AddressRange,
  AuthDesc,
  BootContext,
  CreateGuestMem,
  DtbConfig,
  EXIT_REASON,
  FN,
  FnDesc,
  FnVcpuArg,
  IOCTL,
  type IoctlName,
  MapCmaMem,
  MapMem,
  RESUME_ACTION,
  RunFault,
  RunMmio,
  RunStatus,
  TrustedVmArg,
  UserMemoryRegion,
} from './uapi.js';
import type { ToldExit, VmManagerProtocol } from './vm-manager.protocol.js';

type Answer<T> = Promise<Result<T, Errno>>;
const NO_BYTES = new Uint8Array(0);
/** Calls that wait for a VM have no limit; all others are answered in this time. */
const ASK = { timeoutMs: 60_000 } as const;
const FOREVER = { timeoutMs: 0x7fff_ffff } as const;

/** A manager that does not answer is a device that is gone. */
function settled<T>(answer: Result<T, Errno | AskFailure<unknown>>): Result<T, Errno> {
  if (answer.ok) return answer;
  return err(typeof answer.error === 'string' ? answer.error : 'ENODEV');
}

/** The file of the device; see the head of this file. */
export class GunyahDevice {
  readonly generation: Profile;
  readonly manager: ActorRef<VmManagerProtocol>;
  readonly sender: Sender;
  readonly #fd: number;

  private constructor(sender: Sender, manager: ActorRef<VmManagerProtocol>, generation: Profile, fd: number) {
    this.sender = sender;
    this.manager = manager;
    this.generation = generation;
    this.#fd = fd;
  }

  /** open("/dev/gunyah"). */
  static async open(sender: Sender, manager: ActorRef<VmManagerProtocol>, generation: Profile): Answer<GunyahDevice> {
    const opened = settled(await sender.ask(manager, 'open', {}, ASK));
    return opened.ok ? ok(new GunyahDevice(sender, manager, generation, opened.value.fd)) : opened;
  }

  /** ioctl(2) by name; one the generation does not have is ENOTTY, as its number would be. */
  async ioctl(
    fd: number,
    name: IoctlName,
    value: number,
    bytes: Uint8Array = NO_BYTES,
    behind: Uint8Array = NO_BYTES,
  ): Answer<number> {
    const numbers: Partial<Record<Profile, number>> = IOCTL[name].numbers;
    const request = numbers[this.generation];
    if (request === undefined) return err('ENOTTY');
    const limit = name === 'VCPU_RUN' ? FOREVER : ASK;
    const call = { fd, request, value, bytes, behind };
    const done = settled(await this.sender.ask(this.manager, 'ioctl', call, limit));
    return done.ok ? ok(done.value.value) : done;
  }

  /** CREATE_VM; `arg` must be 0. */
  async createVm(arg: number): Answer<GunyahVmFile> {
    const fd = await this.ioctl(this.#fd, 'CREATE_VM', arg);
    return fd.ok ? ok(new GunyahVmFile(this, fd.value)) : fd;
  }
  /** CREATE_GUEST_MEM: the descriptor of a guest memory file. */
  createGuestMem(request: Of<typeof CreateGuestMem>): Answer<number> {
    return this.ioctl(this.#fd, 'CREATE_GUEST_MEM', 0, bytesOf(CreateGuestMem, request));
  }

  /** mmap(2): anonymous memory. */
  async mmap(bytes: number): Answer<UserMemory> {
    return settled(await this.sender.ask(this.manager, 'mmap', { bytes }, ASK));
  }
  async munmap(address: number): Answer<undefined> {
    return settled(await this.sender.ask(this.manager, 'munmap', { address }, ASK));
  }
  /** mmap(2) of a guest memory file. */
  async memoryOf(fd: number): Answer<UserMemory> {
    return settled(await this.sender.ask(this.manager, 'memoryOf', { fd }, ASK));
  }
  /** eventfd(2). */
  async eventFile(): Answer<number> {
    const opened = settled(await this.sender.ask(this.manager, 'eventFile', {}, ASK));
    return opened.ok ? ok(opened.value.fd) : opened;
  }
  /** read(2) of an event file that does not wait: its count, which is 0 afterwards; EAGAIN while it is 0. */
  async readEvent(fd: number): Answer<number> {
    const count = settled(await this.sender.ask(this.manager, 'readEvent', { fd }, ASK));
    return count.ok ? ok(count.value.count) : count;
  }
  /** write(2) to an event file. */
  async signal(fd: number): Answer<undefined> {
    return settled(await this.sender.ask(this.manager, 'signal', { fd }, ASK));
  }
  /** close(2). */
  async close(fd = this.#fd): Answer<undefined> {
    return settled(await this.sender.ask(this.manager, 'close', { fd }, ASK));
  }
}

/** The file of a VM. */
export class GunyahVmFile {
  readonly #device: GunyahDevice;
  readonly #fd: number;

  constructor(device: GunyahDevice, fd: number) {
    this.#device = device;
    this.#fd = fd;
  }

  setUserMemRegion(region: Of<typeof UserMemoryRegion>): Answer<number> {
    return this.#device.ioctl(this.#fd, 'SET_USER_MEM_REGION', 0, bytesOf(UserMemoryRegion, region));
  }
  /** Android's: lends what SET_USER_MEM_REGION would share. */
  lendUserMem(region: Of<typeof UserMemoryRegion>): Answer<number> {
    return this.#device.ioctl(this.#fd, 'ANDROID_LEND_USER_MEM', 0, bytesOf(UserMemoryRegion, region));
  }
  mapMem(request: Of<typeof MapMem>): Answer<number> {
    return this.#device.ioctl(this.#fd, 'MAP_MEM', 0, bytesOf(MapMem, request));
  }
  setDtbConfig(config: Of<typeof DtbConfig>): Answer<number> {
    return this.#device.ioctl(this.#fd, 'SET_DTB_CONFIG', 0, bytesOf(DtbConfig, config));
  }
  /** Android's: memory for the firmware that starts a protected VM. */
  setFwConfig(config: Of<typeof AddressRange>): Answer<number> {
    return this.#device.ioctl(this.#fd, 'ANDROID_SET_FW_CONFIG', 0, bytesOf(AddressRange, config));
  }
  /** Android's: takes pages back that came when they were wanted. */
  reclaimRegion(range: Of<typeof AddressRange>): Answer<number> {
    return this.#device.ioctl(this.#fd, 'RECLAIM_REGION', 0, bytesOf(AddressRange, range));
  }
  /** Android's: memory in one piece, given whole. */
  mapCmaMem(request: Omit<Of<typeof MapCmaMem>, 'padding'>): Answer<number> {
    return this.#device.ioctl(this.#fd, 'ANDROID_MAP_CMA_MEM', 0, bytesOf(MapCmaMem, { ...request, padding: 0 }));
  }
  /** Android's: who authenticates the image. */
  setAuthType(type: number, arg: Omit<Of<typeof TrustedVmArg>, 'padding'>): Answer<number> {
    const bytes = bytesOf(TrustedVmArg, { ...arg, padding: 0 });
    const desc = bytesOf(AuthDesc, { type, argSize: bytes.length, arg: 0n });
    return this.#device.ioctl(this.#fd, 'ANDROID_SET_AUTH_TYPE', 0, desc, bytes);
  }
  setBootContext(context: Of<typeof BootContext>): Answer<number> {
    return this.#device.ioctl(this.#fd, 'SET_BOOT_CONTEXT', 0, bytesOf(BootContext, context));
  }
  /** A vCPU function answers the vCPU's descriptor, the others 0. */
  addFunction(type: number, arg: Uint8Array): Answer<number> {
    const desc = bytesOf(FnDesc, { type, argSize: arg.length, arg: 0n });
    return this.#device.ioctl(this.#fd, 'ADD_FUNCTION', 0, desc, arg);
  }
  /** ADD_FUNCTION of a vCPU: its file. */
  async addVcpu(id: number): Answer<GunyahVcpuFile> {
    const fd = await this.addFunction(FN.vcpu, bytesOf(FnVcpuArg, { id }));
    return fd.ok ? ok(new GunyahVcpuFile(this.#device, fd.value)) : fd;
  }
  removeFunction(type: number, arg: Uint8Array): Answer<number> {
    const desc = bytesOf(FnDesc, { type, argSize: arg.length, arg: 0n });
    return this.#device.ioctl(this.#fd, 'REMOVE_FUNCTION', 0, desc, arg);
  }
  start(): Answer<number> {
    return this.#device.ioctl(this.#fd, 'VM_START', 0);
  }
  /** Waits until it has exited, or its start has failed. */
  async over(): Answer<ToldExit> {
    return settled(await this.#device.sender.ask(this.#device.manager, 'over', { fd: this.#fd }, FOREVER));
  }
  close(): Answer<undefined> {
    return this.#device.close(this.#fd);
  }
}

/** Why a run returned. */
export type VcpuExit =
  | ({ readonly kind: 'status' } & Of<typeof RunStatus>)
  | ({ readonly kind: 'mmio' } & Of<typeof RunMmio>)
  | ({ readonly kind: 'pageFault' } & Of<typeof RunFault>);

function exitOf(page: DataView): VcpuExit | undefined {
  const reason = page.getUint32(RunStatus.offsets.exitReason, true);
  if (reason === EXIT_REASON.mmio) {
    const read = RunMmio.read(page, 0);
    return read.ok ? { kind: 'mmio', ...read.value } : undefined;
  }
  if (reason === EXIT_REASON.pageFault) {
    const read = RunFault.read(page, 0);
    return read.ok ? { kind: 'pageFault', ...read.value } : undefined;
  }
  const read = RunStatus.read(page, 0);
  return read.ok ? { kind: 'status', ...read.value } : undefined;
}

/** The file of a vCPU. */
export class GunyahVcpuFile {
  readonly #device: GunyahDevice;
  readonly #fd: number;

  constructor(device: GunyahDevice, fd: number) {
    this.#device = device;
    this.#fd = fd;
  }

  /** VCPU_RUN; its run page says why it returned. */
  async run(): Answer<VcpuExit> {
    const ran = await this.#device.ioctl(this.#fd, 'VCPU_RUN', 0);
    if (!ran.ok) return ran;
    const read = settled(await this.#device.sender.ask(this.#device.manager, 'runPage', { fd: this.#fd }, ASK));
    if (!read.ok) return read;
    const { page } = read.value;
    const exit = exitOf(new DataView(page.buffer, page.byteOffset, page.byteLength));
    return exit === undefined ? err('EFAULT') : ok(exit);
  }
  /** What a read that ended the last run finds: its low bytes. P17 takes an action for reads and writes, see {@link act}. */
  async answerRead(value: bigint): Answer<undefined> {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
    return this.#write(RunMmio.offsets.data, bytes);
  }
  /** What is done with the access (or, `isFault`, the missing page) that ended the last run: nothing said is `handled`. */
  act(action: keyof typeof RESUME_ACTION, isFault = false): Answer<undefined> {
    return this.#write(isFault ? RunFault.offsets.action : RunMmio.offsets.action, [RESUME_ACTION[action]]);
  }
  async #write(at: number, bytes: ArrayLike<number>): Answer<undefined> {
    const body = { fd: this.#fd, answer: { at, bytes: Uint8Array.from(bytes) } };
    const done = settled(await this.#device.sender.ask(this.#device.manager, 'runPage', body, ASK));
    return done.ok ? ok() : done;
  }
  mmapSize(): Answer<number> {
    return this.#device.ioctl(this.#fd, 'VCPU_MMAP_SIZE', 0);
  }
  /** The run that is on, and every next one, returns at once with EINTR. */
  async setImmediateExit(on: boolean): Answer<undefined> {
    const body = { fd: this.#fd, immediateExit: on ? 1 : 0 };
    const done = settled(await this.#device.sender.ask(this.#device.manager, 'runPage', body, ASK));
    return done.ok ? ok() : done;
  }
  close(): Answer<undefined> {
    return this.#device.close(this.#fd);
  }
}
