/**
 * The userspace interface of the Gunyah drivers (gunyah.md 8.1, 8.2): ioctl numbers by driver generation, argument structs, flags.
 * Names are those of the drivers' header without its prefix.
 */
import { i32, mustBeZero, u8, u16, u32, u64 } from '../../bus/layout/fields.js';
import { struct } from '../../bus/layout/struct.js';
import type { Profile } from '../abi/gunyah/identity.js';

/** What a file descriptor is of. */
export type FileKind = 'device' | 'vm' | 'vcpu' | 'memory' | 'event';

interface IoctlRow {
  readonly on: FileKind;
  /** Number in each generation; absent: it has none. */
  readonly numbers: Readonly<Partial<Record<Profile, number>>>;
  /** Bytes of the struct behind the argument; 0: the argument is a number, or nothing. */
  readonly bytes: number;
}

const since14 = (number: number): Partial<Record<Profile, number>> => ({ P14: number, P17: number });

/** The table of section 8.1. */
export const IOCTL = {
  CREATE_VM: { on: 'device', numbers: { P6: 0x4740, P14: 0x4700, P17: 0x4700 }, bytes: 0 },
  SET_USER_MEM_REGION: { on: 'vm', numbers: { P6: 0x4020_4741, P14: 0x4020_4701 }, bytes: 32 },
  SET_DTB_CONFIG: { on: 'vm', numbers: { P6: 0x4010_4742, ...since14(0x4010_4702) }, bytes: 16 },
  VM_START: { on: 'vm', numbers: { P6: 0x4745, ...since14(0x4703) }, bytes: 0 },
  ADD_FUNCTION: { on: 'vm', numbers: since14(0x4010_4704), bytes: 16 },
  VCPU_RUN: { on: 'vcpu', numbers: since14(0x4705), bytes: 0 },
  VCPU_MMAP_SIZE: { on: 'vcpu', numbers: since14(0x4706), bytes: 0 },
  REMOVE_FUNCTION: { on: 'vm', numbers: since14(0x4010_4707), bytes: 16 },
  CREATE_GUEST_MEM: { on: 'device', numbers: { P17: 0x4040_4708 }, bytes: 64 },
  MAP_MEM: { on: 'vm', numbers: { P17: 0x4020_4709 }, bytes: 32 },
  SET_BOOT_CONTEXT: { on: 'vm', numbers: since14(0x4010_470a), bytes: 16 },
  ANDROID_PROBE: { on: 'device', numbers: { P14: 0x4110 }, bytes: 0 },
  ANDROID_LEND_USER_MEM: { on: 'vm', numbers: { P14: 0x4020_4111 }, bytes: 32 },
  ANDROID_SET_FW_CONFIG: { on: 'vm', numbers: since14(0x4010_4112), bytes: 16 },
  RECLAIM_REGION: { on: 'vm', numbers: since14(0x4010_4113), bytes: 16 },
  ANDROID_MAP_CMA_MEM: { on: 'vm', numbers: since14(0x4028_4115), bytes: 40 },
  ANDROID_SET_AUTH_TYPE: { on: 'vm', numbers: since14(0x4010_4116), bytes: 16 },
  ANDROID_CHECK_EXTENSION: { on: 'vm', numbers: { P14: 0x4117 }, bytes: 0 },
} as const satisfies Readonly<Record<string, IoctlRow>>;
/** Name of an ioctl. */
export type IoctlName = keyof typeof IOCTL;

/** The ioctl with this number on such a file, or undefined. */
export function ioctlOf(kind: FileKind, number: number, generation: Profile): IoctlName | undefined {
  for (const [name, row] of Object.entries(IOCTL) as [IoctlName, IoctlRow][]) {
    if (row.on === kind && row.numbers[generation] === number) return name;
  }
  return undefined;
}

export const UserMemoryRegion = struct('UserMemoryRegion', 32, {
  label: u32(0),
  flags: u32(4),
  guestPhysAddr: u64(8),
  memorySize: u64(0x10),
  userspaceAddr: u64(0x18),
});
/** Of SET_FW_CONFIG and RECLAIM_REGION. */
export const AddressRange = struct('AddressRange', 16, { guestPhysAddr: u64(0), size: u64(8) });
export const MapCmaMem = struct('MapCmaMem', 40, {
  label: u32(0),
  padding: u32(4), // whatever it holds
  guestAddr: u64(8),
  flags: u32(0x10),
  guestMemFd: u32(0x14),
  offset: u64(0x18),
  size: u64(0x20),
});
/** As {@link FnDesc}: its argument comes beside it. */
export const AuthDesc = struct('AuthDesc', 16, { type: u32(0), argSize: u32(4), arg: u64(8) });
export const TrustedVmArg = struct('TrustedVmArg', 24, {
  vmId: u16(0),
  padding: u16(2),
  peripheralId: u32(4),
  guestPhysAddr: u64(8),
  size: u64(0x10),
});
export const DtbConfig = struct('DtbConfig', 16, { guestPhysAddr: u64(0), size: u64(8) });
/** Its argument pointer is not followed: what it points to comes beside it. */
export const FnDesc = struct('FnDesc', 16, { type: u32(0), argSize: u32(4), arg: u64(8) });
export const FnVcpuArg = struct('FnVcpuArg', 4, { id: u32(0) });
export const FnIrqfdArg = struct('FnIrqfdArg', 16, { fd: u32(0), label: u32(4), flags: u32(8), padding: u32(0xc) });
export const FnIoeventfdArg = struct('FnIoeventfdArg', 32, {
  datamatch: u64(0),
  addr: u64(8),
  len: u32(0x10),
  fd: i32(0x14),
  flags: u32(0x18),
  padding: u32(0x1c),
});
export const CreateGuestMem = struct('CreateGuestMem', 64, {
  flags: u64(0),
  size: u64(8),
  reserved: mustBeZero(0x10, 48),
});
export const MapMem = struct('MapMem', 32, {
  guestAddr: u64(0),
  flags: u32(8),
  guestMemFd: u32(0xc),
  offset: u64(0x10),
  size: u64(0x18),
});
export const BootContext = struct('BootContext', 16, { reg: u32(0), reserved: u32(4), value: u64(8) });
/** The first words of a vCPU's run page, for an exit because the VM's status changed. */
export const RunStatus = struct('RunStatus', 0x20, {
  immediateExit: u8(0),
  padding: mustBeZero(1, 7),
  exitReason: u32(8),
  padding1: mustBeZero(0xc, 4),
  status: u32(0x10),
  exitType: u16(0x14),
  padding2: mustBeZero(0x16, 2),
  reasonSize: u32(0x18),
  reason: u32(0x1c),
});

/** The same, for an access that is the caller's to answer; data of a read is what the caller writes there. */
export const RunMmio = struct('RunMmio', 0x28, {
  immediateExit: u8(0),
  padding: mustBeZero(1, 7),
  exitReason: u32(8),
  padding1: mustBeZero(0xc, 4),
  address: u64(0x10),
  data: u64(0x18),
  len: u32(0x20),
  isWrite: u8(0x24),
  action: u8(0x25),
  padding2: mustBeZero(0x26, 2),
});
/** The same, for a page that is not there (P17). */
export const RunFault = struct('RunFault', 0x20, {
  immediateExit: u8(0),
  padding: mustBeZero(1, 7),
  exitReason: u32(8),
  padding1: mustBeZero(0xc, 4),
  address: u64(0x10),
  error: i32(0x18),
  action: u8(0x1c),
  padding2: mustBeZero(0x1d, 3),
});

/** Flags of a region; `lend` is v6's. */
export const MEM = { read: 1, write: 2, exec: 4, lend: 8 } as const;
/** Flags of MAP_MEM. */
export const MAP = {
  access: 7,
  defaultAccess: 0,
  forceLend: 1,
  forceShare: 2,
  read: 0x10,
  write: 0x20,
  exec: 0x40,
  unmap: 0x100,
} as const;
/** Flag of MAP_CMA_MEM: lent rather than shared. */
export const CMA_LEND = 0x10;
/** Types of SET_AUTH_TYPE. */
export const AUTH_TYPE = { protectedVm: 0, trustedVm: 1 } as const;
/** Flag of CREATE_GUEST_MEM: pages may be large ones. */
export const GUEST_MEM_HUGE = 2n;
/** Types of functions. */
export const FN = { vcpu: 1, irqfd: 2, ioeventfd: 3 } as const;
export const FN_ARG_BYTES_MAX = 256;
export const IRQFD_LEVEL = 1;
export const IOEVENTFD_DATAMATCH = 1;
/** Exit reasons of a run page, and statuses. */
export const EXIT_REASON = { unknown: 0, mmio: 1, status: 2, pageFault: 3 } as const;
/** What is done with the instruction that left the guest (P17). */
export const RESUME_ACTION = { handled: 0, fault: 1, retry: 2 } as const;
export const VM_STATUS = { loadFailed: 1, exited: 2, crashed: 3 } as const;
/** Size of the run page. */
export const RUN_PAGE_BYTES = 4096;
