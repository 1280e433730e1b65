/**
 * The VM manager: the Gunyah driver of a host VM with its file descriptors (gunyah.md 8), without a kernel around it. Calls carry an
 * ioctl's number and the bytes behind its argument, and answer what the system call would: a value, or an errno.
 */
import { err, ok, type Result } from '../../bus/result.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import type { Profile } from '../abi/gunyah/identity.js';
import { PayloadReader } from '../resource-manager/payload.js';
import { RM_NOTIFICATION } from '../resource-manager/rm-messages.js';
import type { RpcMessage } from '../resource-manager/rpc-packet.js';
import type { Errno } from './errno.js';
import { GunyahVm } from './gunyah-vm.js';
import type { ManagerHost, UserMemory } from './manager-host.js';
import type { RpcClient } from './rpc-client.js';
import {
  AddressRange,
  AUTH_TYPE,
  AuthDesc,
  BootContext,
  CreateGuestMem,
  DtbConfig,
  type FileKind,
  FnDesc,
  GUEST_MEM_HUGE,
  IOCTL,
  type IoctlName,
  ioctlOf,
  MapCmaMem,
  MapMem,
  RUN_PAGE_BYTES,
  TrustedVmArg,
  UserMemoryRegion,
} from './uapi.js';
import { VcpuFile } from './vcpu-file.js';
import { VmRequests } from './vm-requests.js';

/** A call as a process makes it. */
export interface IoctlCall {
  readonly fd: number;
  readonly request: number;
  /** The argument as a number, for calls without a struct. */
  readonly value: number;
  /** The struct behind the argument. */
  readonly bytes: Uint8Array;
  /** What a pointer in that struct leads to. */
  readonly behind: Uint8Array;
}

type File =
  | { readonly kind: 'device' }
  | { readonly kind: 'vm'; readonly vm: GunyahVm; references: number; fds: number }
  | { readonly kind: 'vcpu'; readonly vm: File & { kind: 'vm' }; readonly vcpu: VcpuFile }
  | { readonly kind: 'memory'; readonly memory: UserMemory; readonly isLarge: boolean }
  | { readonly kind: 'event'; count: number };

const GUEST_MEM_FLAGS = 3n;
const FILES_MAX = 1024;
const FIRST_FD = 3;
/** Android's only extension: the vCPU timer's wake-up. */
const EXTENSIONS = 1;
type Answer = Result<number, Errno> | Promise<Result<number, Errno>>;

/** See the head of this file. */
export class VmManager {
  readonly #generation: Profile;
  readonly #host: ManagerHost;
  readonly #requests: VmRequests;
  readonly #files = new Map<number, File>();
  /** Memory the process has mapped, beside guest memory files. */
  readonly #mapped: UserMemory[] = [];
  readonly #vms = new Set<GunyahVm>();

  constructor(generation: Profile, rpc: RpcClient, hostVmid: number, host: ManagerHost) {
    this.#generation = generation;
    this.#host = host;
    this.#requests = new VmRequests(rpc, hostVmid);
  }

  // ---- what a process does beside ioctls ----

  /** open("/dev/gunyah"). */
  open(): Result<number, Errno> {
    return this.#newFd({ kind: 'device' });
  }
  /** eventfd(2). */
  eventFile(): Result<number, Errno> {
    return this.#newFd({ kind: 'event', count: 0 });
  }
  /** Anonymous memory, for regions of user memory. */
  async mmap(bytes: number): Promise<Result<UserMemory, Errno>> {
    if (bytes <= 0 || bytes % HYP_PAGE_BYTES !== 0) return err('EINVAL');
    const mapped = await this.#host.mapMemory(bytes);
    if (mapped.ok) this.#mapped.push(mapped.value);
    return mapped;
  }
  async munmap(address: number): Promise<Result<number, Errno>> {
    const at = this.#mapped.findIndex((memory) => memory.address === address);
    const memory = this.#mapped[at];
    if (memory === undefined) return err('EINVAL');
    this.#mapped.splice(at, 1);
    await this.#host.unmapMemory(memory);
    return ok(0);
  }
  /** mmap of a guest memory file, whole. */
  memoryOf(fd: number): Result<UserMemory, Errno> {
    const file = this.#files.get(fd);
    return file?.kind === 'memory' ? ok(file.memory) : err('EBADF');
  }
  /** The run page of a vCPU. */
  runPage(fd: number): Result<Uint8Array, Errno> {
    const file = this.#files.get(fd);
    return file?.kind === 'vcpu' ? ok(file.vcpu.page) : err('EBADF');
  }
  /** A signal to the thread that runs a vCPU. */
  kick(fd: number): void {
    const file = this.#files.get(fd);
    if (file?.kind === 'vcpu') file.vcpu.kick();
  }
  /** write(2) of 1 to an event file. */
  signal(fd: number): Result<number, Errno> {
    const file = this.#files.get(fd);
    if (file?.kind !== 'event') return err('EBADF');
    file.count++;
    for (const vm of this.#vms) vm.functions.signalled(fd);
    return ok(0);
  }
  /** read(2) of an event file: its count, which is 0 afterwards. */
  readEvent(fd: number): Result<number, Errno> {
    const file = this.#files.get(fd);
    if (file?.kind !== 'event') return err('EBADF');
    if (file.count === 0) return err('EAGAIN');
    const { count } = file;
    file.count = 0;
    return ok(count);
  }

  /** close(2); answers when what the last reference held is given back. */
  async close(fd: number): Promise<Result<number, Errno>> {
    const file = this.#files.get(fd);
    if (file === undefined) return err('EBADF');
    this.#files.delete(fd);
    if (file.kind === 'vm') await this.#drop(file);
    else if (file.kind === 'vcpu') await this.#drop(file.vm);
    else if (file.kind === 'memory') await this.#host.unmapMemory(file.memory);
    return ok(0);
  }

  async #drop(file: File & { kind: 'vm' }): Promise<void> {
    file.references--;
    if (file.references > 0) return;
    await file.vm.close();
    this.#vms.delete(file.vm);
  }

  #newFd(file: File): Result<number, Errno> {
    if (this.#files.size >= FILES_MAX) return err('ENOMEM');
    let fd = FIRST_FD;
    while (this.#files.has(fd)) fd++;
    this.#files.set(fd, file);
    return ok(fd);
  }

  /** The VM behind a descriptor, to wait for its end. */
  vmOf(fd: number): GunyahVm | undefined {
    const file = this.#files.get(fd);
    return file?.kind === 'vm' ? file.vm : undefined;
  }

  // ---- ioctl(2) ----

  /** Carries out a call. */
  async ioctl(call: IoctlCall): Promise<Result<number, Errno>> {
    const file = this.#files.get(call.fd);
    if (file === undefined) return err('EBADF');
    const name = ioctlOf(file.kind, call.request, this.#generation);
    if (name === undefined) return err(unknownIoctl(file.kind, this.#generation));
    const { bytes } = IOCTL[name];
    if (call.bytes.length < bytes) return err('EFAULT');
    return this.#carryOut(name, file, call);
  }

  #carryOut(name: IoctlName, file: File, call: IoctlCall): Answer {
    const view = new DataView(call.bytes.buffer, call.bytes.byteOffset, call.bytes.byteLength);
    switch (name) {
      case 'CREATE_VM':
        return call.value === 0 ? this.#createVm() : err('EINVAL');
      case 'ANDROID_PROBE':
        return ok(0);
      case 'CREATE_GUEST_MEM':
        return this.#createGuestMem(view);
      case 'VCPU_MMAP_SIZE':
        return ok(RUN_PAGE_BYTES);
      case 'VCPU_RUN':
        return file.kind === 'vcpu' ? file.vcpu.run() : err('ENOTTY');
      default:
        return file.kind === 'vm' ? this.#ofVm(name, file, view, call) : err('ENOTTY');
    }
  }

  #ofVm(
    name: Exclude<IoctlName, 'CREATE_VM' | 'ANDROID_PROBE' | 'CREATE_GUEST_MEM' | 'VCPU_MMAP_SIZE' | 'VCPU_RUN'>,
    file: File & { kind: 'vm' },
    view: DataView,
    { value, behind }: IoctlCall,
  ): Answer {
    const { vm } = file;
    switch (name) {
      case 'SET_USER_MEM_REGION':
      case 'ANDROID_LEND_USER_MEM': {
        const read = UserMemoryRegion.read(view, 0);
        return read.ok
          ? vm.setUserMemRegion(read.value, this.#mapped, name === 'ANDROID_LEND_USER_MEM')
          : err('EINVAL');
      }
      case 'SET_DTB_CONFIG': {
        const read = DtbConfig.read(view, 0);
        return read.ok ? vm.setDtbConfig(read.value.guestPhysAddr, read.value.size) : err('EINVAL');
      }
      case 'SET_BOOT_CONTEXT': {
        const read = BootContext.read(view, 0);
        return read.ok ? vm.setBootContext(read.value.reg, read.value.reserved, read.value.value) : err('EINVAL');
      }
      case 'MAP_MEM': {
        const read = MapMem.read(view, 0);
        const memory = read.ok ? this.#files.get(read.value.guestMemFd) : undefined;
        // Whatever is no guest memory is a bad argument to the driver.
        if (!read.ok || memory?.kind !== 'memory') return err('EINVAL');
        return vm.mapMem({ ...read.value, memory: memory.memory, isLarge: memory.isLarge });
      }
      case 'ANDROID_MAP_CMA_MEM': {
        const read = MapCmaMem.read(view, 0);
        const memory = read.ok ? this.#files.get(read.value.guestMemFd) : undefined;
        if (!read.ok || memory?.kind !== 'memory') return err('EINVAL');
        return vm.mapCmaMem({ ...read.value, memory: memory.memory });
      }
      case 'ANDROID_SET_FW_CONFIG': {
        const read = AddressRange.read(view, 0);
        return read.ok ? vm.setFirmware(read.value.guestPhysAddr, read.value.size) : err('EINVAL');
      }
      case 'RECLAIM_REGION': {
        const read = AddressRange.read(view, 0);
        return read.ok ? vm.reclaimRegion(read.value.guestPhysAddr, read.value.size) : err('EINVAL');
      }
      case 'ANDROID_SET_AUTH_TYPE': {
        const read = AuthDesc.read(view, 0);
        return read.ok ? setAuthType(vm, read.value.type, read.value.argSize, behind) : err('EINVAL');
      }
      case 'VM_START':
        return vm.start();
      case 'ADD_FUNCTION':
      case 'REMOVE_FUNCTION': {
        const read = FnDesc.read(view, 0);
        if (!read.ok) return err('EINVAL');
        const { type, argSize } = read.value;
        return name === 'ADD_FUNCTION'
          ? this.#addFunction(file, type, argSize, behind)
          : vm.functions.remove(type, argSize, behind);
      }
      case 'ANDROID_CHECK_EXTENSION':
        return value < EXTENSIONS ? ok(0) : err('EINVAL');
    }
  }

  async #createVm(): Promise<Result<number, Errno>> {
    const vm = new GunyahVm(this.#generation, this.#requests, this.#host);
    const created = await vm.create();
    if (!created.ok) return created;
    this.#vms.add(vm);
    return this.#newFd({ kind: 'vm', vm, references: 1, fds: 0 });
  }

  async #createGuestMem(view: DataView): Promise<Result<number, Errno>> {
    const read = CreateGuestMem.read(view, 0);
    if (!read.ok) return err('EINVAL');
    const { flags, size } = read.value;
    if ((flags & ~GUEST_MEM_FLAGS) !== 0n || size === 0n || size % BigInt(HYP_PAGE_BYTES) !== 0n) return err('EINVAL');
    if (size > BigInt(Number.MAX_SAFE_INTEGER)) return err('ENOMEM');
    const memory = await this.#host.mapMemory(Number(size));
    if (!memory.ok) return memory;
    return this.#newFd({ kind: 'memory', memory: memory.value, isLarge: (flags & GUEST_MEM_HUGE) !== 0n });
  }

  #addFunction(file: File & { kind: 'vm' }, type: number, argSize: number, arg: Uint8Array): Result<number, Errno> {
    const added = file.vm.functions.add(type, argSize, arg, (fd) => this.#files.get(fd)?.kind === 'event');
    if (!added.ok) return added;
    if (added.value === undefined) return ok(0);
    file.references++;
    const { vm } = file;
    const vcpu = new VcpuFile({
      ...{ vm, id: added.value, host: this.#host, hasActions: this.#generation === 'P17' },
      written: (address, bytes, value) => this.#written(vm, address, bytes, value),
    });
    return this.#newFd({ kind: 'vcpu', vm: file, vcpu });
  }

  /** A guest's write to a device: whether it signals an event file. */
  #written(vm: GunyahVm, address: bigint, bytes: number, value: bigint): boolean {
    const fd = vm.functions.written(address, bytes, value);
    return fd !== undefined && this.signal(fd).ok;
  }

  // ---- what the machine tells ----

  /** Somebody rang: a run may have ended. */
  rang(): void {
    for (const file of this.#files.values()) if (file.kind === 'vcpu') file.vcpu.rang();
  }

  // ---- what the resource manager tells ----

  /** A notification of the RPC link. */
  notified({ message, content }: RpcMessage): void {
    const reader = new PayloadReader(content);
    const vmid = reader.u16();
    const vm = [...this.#vms].find((known) => known.vmid === vmid);
    if (message === RM_NOTIFICATION.VM_EXITED) vm?.exited(reader);
    else if (message === RM_NOTIFICATION.VM_STATUS) {
      reader.u16();
      vm?.statusChanged(reader.u8());
    }
  }
}

/** The driver has trusted VMs as its only kind; what of the argument was not given is 0. */
function setAuthType(vm: GunyahVm, type: number, argSize: number, arg: Uint8Array): Result<number, Errno> {
  if (type !== AUTH_TYPE.trustedVm) return err('ENOENT');
  if (argSize > TrustedVmArg.sizeBytes) return err('EINVAL');
  if (argSize > arg.length) return err('EFAULT');
  const whole = new Uint8Array(TrustedVmArg.sizeBytes);
  whole.set(arg.subarray(0, argSize));
  const read = TrustedVmArg.read(new DataView(whole.buffer), 0);
  return read.ok ? vm.setTrusted(read.value) : err('EINVAL');
}

/** v6 answers EINVAL on the device. */
function unknownIoctl(kind: FileKind, generation: Profile): Errno {
  return kind === 'device' && generation === 'P6' ? 'EINVAL' : 'ENOTTY';
}
