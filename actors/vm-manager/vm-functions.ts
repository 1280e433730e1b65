/** Functions of a VM (gunyah.md 8.1 to 8.3): vCPUs, interrupts by event file, and event files on writes to an address. */
import { err, ok, type Result } from '../../bus/result.js';
import { RESOURCE_TYPE } from '../resource-manager/resource-types.js';
import type { Errno } from './errno.js';
import type { Bell, ManagerHost, Processor } from './manager-host.js';
import {
  FN,
  FN_ARG_BYTES_MAX,
  FnIoeventfdArg,
  FnIrqfdArg,
  FnVcpuArg,
  IOEVENTFD_DATAMATCH,
  IRQFD_LEVEL,
} from './uapi.js';
import type { Resource } from './vm-requests.js';

/** A function that was added. */
interface FunctionRecord {
  readonly type: number;
  /** What tells it from others of its type. */
  readonly label: bigint;
  readonly isLevel: boolean;
  /** Of an irqfd and an ioeventfd: the event file. */
  readonly eventFd: number;
  readonly match: { readonly bytes: number; readonly datamatch: bigint | undefined } | undefined;
  /** The doorbell behind an irqfd, and the processor behind a vCPU, once the VM has its resources. */
  bell: Bell | undefined;
  processor: Processor | undefined;
}

const LENGTHS = new Set([0, 1, 2, 4, 8]);
const ADDRESS_END = 1n << 64n;

/** See the head of this file. */
export class VmFunctions {
  readonly #host: ManagerHost;
  readonly #functions: FunctionRecord[] = [];
  #resources: readonly Resource[] = [];

  constructor(host: ManagerHost) {
    this.#host = host;
  }

  /** Checks a descriptor's argument; `isEvent` says whether a number is an event file. */
  #read(
    type: number,
    argSize: number,
    arg: Uint8Array,
    isEvent: (fd: number) => boolean,
  ): Result<FunctionRecord, Errno> {
    const view = new DataView(arg.buffer, arg.byteOffset, arg.byteLength);
    const plain = { type, isLevel: false, eventFd: -1, match: undefined, bell: undefined, processor: undefined };
    switch (type) {
      case FN.vcpu: {
        const read = FnVcpuArg.read(view, 0);
        if (argSize !== FnVcpuArg.sizeBytes || !read.ok) return err('EINVAL');
        return ok({ ...plain, label: BigInt(read.value.id) });
      }
      case FN.irqfd: {
        const read = FnIrqfdArg.read(view, 0);
        if (argSize !== FnIrqfdArg.sizeBytes || !read.ok) return err('EINVAL');
        const { fd, label, flags } = read.value;
        if ((flags & ~IRQFD_LEVEL) !== 0) return err('EINVAL');
        if (!isEvent(fd)) return err('EBADF');
        return ok({ ...plain, label: BigInt(label), eventFd: fd, isLevel: flags === IRQFD_LEVEL });
      }
      case FN.ioeventfd: {
        const read = FnIoeventfdArg.read(view, 0);
        if (argSize !== FnIoeventfdArg.sizeBytes || !read.ok) return err('EINVAL');
        const { addr, len, fd, flags, datamatch } = read.value;
        const isMatched = flags === IOEVENTFD_DATAMATCH;
        if ((flags & ~IOEVENTFD_DATAMATCH) !== 0 || !LENGTHS.has(len) || addr + BigInt(len) >= ADDRESS_END) {
          return err('EINVAL');
        }
        if (len === 0 && isMatched) return err('EINVAL');
        if (!isEvent(fd)) return err('EBADF');
        const match = { bytes: len, datamatch: isMatched ? datamatch : undefined };
        return ok({ ...plain, label: addr, eventFd: fd, match });
      }
      default:
        return err('ENOENT');
    }
  }

  /** ADD_FUNCTION; the number of the vCPU that was added, undefined for a function of another type. */
  add(
    type: number,
    argSize: number,
    arg: Uint8Array,
    isEvent: (fd: number) => boolean,
  ): Result<number | undefined, Errno> {
    if (argSize > FN_ARG_BYTES_MAX || argSize > arg.length) return err('EINVAL');
    const read = this.#read(type, argSize, arg, isEvent);
    if (!read.ok) return read;
    if (this.#find(type, read.value.label) !== undefined) return err('EEXIST');
    this.#functions.push(read.value);
    if (this.#resources.length > 0) this.#connect(read.value);
    return ok(type === FN.vcpu ? Number(read.value.label) : undefined);
  }

  /** REMOVE_FUNCTION. */
  remove(type: number, argSize: number, arg: Uint8Array): Result<number, Errno> {
    if (argSize > FN_ARG_BYTES_MAX || argSize > arg.length) return err('EINVAL');
    const read = this.#read(type, argSize, arg, () => true);
    if (!read.ok) return read;
    const found = this.#find(type, read.value.label);
    if (found === undefined) return err('ENOENT');
    this.#functions.splice(this.#functions.indexOf(found), 1);
    return ok(0);
  }

  #find(type: number, label: bigint): FunctionRecord | undefined {
    return this.#functions.find((known) => known.type === type && known.label === label);
  }

  /** The VM's resources are there: each irqfd gets the doorbell of its label, each vCPU its processor. */
  connect(resources: readonly Resource[]): void {
    this.#resources = resources;
    for (const known of this.#functions) this.#connect(known);
  }

  #connect(known: FunctionRecord): void {
    if (known.type === FN.ioeventfd) return;
    const wanted = known.type === FN.vcpu ? RESOURCE_TYPE.vcpu : RESOURCE_TYPE.bellTx;
    const line = this.#resources.find(({ type, label }) => type === wanted && BigInt(label) === known.label);
    if (known.type === FN.vcpu) {
      known.processor = line && this.#host.processor(line.capability);
      return;
    }
    known.bell = line && this.#host.bell(line.capability);
    // A refusal (53, no right to clear) is only warned of by the driver.
    if (known.isLevel) known.bell?.mask(1n, 1n);
  }

  /** The processor of vCPU `id`, once it has one. */
  processor(id: number): Processor | undefined {
    return this.#find(FN.vcpu, BigInt(id))?.processor;
  }

  /** Somebody signalled an event file. */
  signalled(eventFd: number): void {
    for (const known of this.#functions) {
      if (known.type === FN.irqfd && known.eventFd === eventFd) known.bell?.send(1n);
    }
  }

  /** The event file that a guest's write of `bytes` bytes of `value` at `address` signals, if there is one. */
  written(address: bigint, bytes: number, value: bigint): number | undefined {
    const found = this.#functions.find(
      ({ type, label, match }) =>
        type === FN.ioeventfd &&
        label === address &&
        (match?.bytes === 0 || match?.bytes === bytes) &&
        (match?.datamatch === undefined || match.datamatch === value),
    );
    return found?.eventFd;
  }
}
