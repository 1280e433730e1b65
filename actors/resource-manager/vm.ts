/** A VM as the resource manager knows it, and the table of all of them (gunyah.md 5.3, 6). */
import type { Profile } from '../abi/gunyah/identity.js';
import { VM_STATE, VMID, type VmState } from './rm-messages.js';
import type { RpcLink } from './rpc-link.js';
import type { VmConfig } from './vm-config.js';

/** One line of VM_GET_HYP_RESOURCES (section 5.7). */
export interface HypResource {
  /** Who holds the capability: the caller sees its own lines only. */
  readonly holder: number;
  readonly type: number;
  readonly partner: number;
  readonly handle: number;
  readonly label: number;
  readonly capability: bigint;
  readonly virqHandle: number;
  readonly virq: number;
  /** Where the holder has it, for what lies in memory. */
  readonly base?: number;
  readonly bytes?: number;
}
/** Image and device tree, as CONFIG_IMAGE named them. */
export interface ImageConfig {
  readonly auth: number;
  readonly parcel: number;
  readonly imageOffset: bigint;
  readonly imageBytes: bigint;
  readonly treeOffset: bigint;
  readonly treeBytes: bigint;
}

/** How an image is authenticated (gunyah.md 5.5.1). */
export const AUTH = { none: 0, platform: 1, android: 2 } as const;

/** Of processors (gunyah.md 2.9). */
export const PRIORITY = { default: 32, max: 63 } as const;

/** See the head of this file. */
export class Vm {
  readonly vmid: number;
  readonly owner: number;
  profile: Profile;
  /** The host itself, where a guest is the primary VM. */
  isHost = false;
  /** Whether somebody else built it, and ends it. */
  isAdopted = false;
  /** As its configuration or whoever built it calls it. */
  name = '';
  state: VmState = VM_STATE.LOAD;
  /** Priority of its processors, from which those of its VMs count. */
  priority: number = PRIORITY.default;
  osState = 0;
  appState = 0;
  partition: number | undefined;
  link: RpcLink | undefined;
  config: VmConfig | undefined;
  image: ImageConfig | undefined;
  /** Where the image was asked to lie (VM_SET_ADDRESS_LAYOUT). */
  imageBase: bigint | undefined;
  /** Where its firmware goes, as VM_SET_FIRMWARE_MEM named it. */
  firmware: { readonly parcel: number; readonly offset: bigint; readonly bytes: bigint } | undefined;
  /** Whether its owner gives it memory when it is wanted (VM_SET_DEMAND_PAGING). */
  isPaged = false;
  /** Bytes that may come so. */
  pagedBytes = 0;
  /** The extent that its private pages come from; 0: there is none. */
  guestPrivate = 0;
  crashMessage: Uint8Array = new Uint8Array(0);
  timeBase: { readonly ns: bigint; readonly ticks: bigint } | undefined;
  /** Boot registers that were set, by set << 8 | index. */
  readonly bootContext = new Map<number, bigint>();
  resources: HypResource[] = [];
  /** Ports made for it, to be destroyed with it. */
  ports: number[] = [];
  /** Consoles: whether its own and its owner's side are open. */
  readonly console = { own: false, owner: false };
  /** Pages IPA_RESERVE took. */
  readonly reserved: { base: bigint; bytes: bigint }[] = [];

  constructor(vmid: number, owner: number, profile: Profile) {
    this.vmid = vmid;
    this.owner = owner;
    this.profile = profile;
  }

  /** A platform's VMs have a watchdog, and those whose configuration says so (`watchdog`, ours). */
  get hasWatchdog(): boolean {
    return this.image?.auth === AUTH.platform || this.config?.hasWatchdog === true;
  }

  /** Whether it has processors that run or may run. */
  get isAlive(): boolean {
    return this.state === VM_STATE.RUNNING || this.state === VM_STATE.PAUSED;
  }
}

/** All VMs by VMID. */
export class VmTable {
  readonly #vms = new Map<number, Vm>();

  get(vmid: number): Vm | undefined {
    return this.#vms.get(vmid);
  }
  add(vm: Vm): void {
    this.#vms.set(vm.vmid, vm);
  }
  delete(vmid: number): void {
    this.#vms.delete(vmid);
  }
  all(): readonly Vm[] {
    return [...this.#vms.values()];
  }

  /** Lowest dynamic VMID that is free, or undefined. */
  freeDynamic(): number | undefined {
    for (let vmid: number = VMID.DYNAMIC_FIRST; vmid < VMID.DYNAMIC_END; vmid++) if (!this.#vms.has(vmid)) return vmid;
    return undefined;
  }

  /** Its owner, and the VMs it owns. */
  peersOf(vm: Vm): readonly Vm[] {
    return this.all().filter((other) => other.vmid === vm.owner || other.owner === vm.vmid);
  }
}
