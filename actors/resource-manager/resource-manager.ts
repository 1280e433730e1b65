/**
 * The resource manager: who exists, in which state, and what each may ask (gunyah.md 5 and 6). This is its state and what
 * happens to it; requests are in rpc-server.ts and the files it names. The machine is reached through RmHost alone, so the
 * same code runs in the actor, in models and under the fuzzer.
 */
import type { Profile } from '../abi/gunyah/identity.js';
import type { ResetAsked } from '../shared-state/vm/vm-block.js';
import { InterruptLoans } from './interrupt-loans.js';
import { LinkPorts } from './link-ports.js';
import { MemoryParcels, type Parcel } from './memory-parcels.js';
import { PayloadWriter } from './payload.js';
import { QueueNames } from './queue-names.js';
import type { RmHost } from './rm-host.js';
import { EXIT_TYPE, type ExitType, RM_NOTIFICATION, VM_STATE, VMID, type VmState } from './rm-messages.js';
import { PACKET } from './rpc-packet.js';
import { Vm, VmTable } from './vm.js';

/** Flag of an exit of type 3. */
const RESET2_WIDE = 1 << 15;

/** See the head of this file. */
export class ResourceManager {
  readonly host: RmHost;
  readonly vms = new VmTable();
  readonly parcels: MemoryParcels;
  readonly loans = new InterruptLoans();
  /** Static VMIDs the platform lists as secondary VMs. */
  readonly staticVmids: ReadonlySet<number>;
  readonly links: LinkPorts;
  readonly queues = new QueueNames();
  /** The primary VM has said that no firmware follows (FW_MILESTONE). */
  isFirmwareFixed = false;
  /** The firmware of VMs of authentication type 2, once it was donated. */
  firmware: Parcel | undefined;
  #notification = 0;
  #handle = 1;

  constructor(host: RmHost, staticVmids: readonly number[] = []) {
    this.host = host;
    this.parcels = new MemoryParcels(host);
    this.links = new LinkPorts(host, this.queues);
    this.staticVmids = new Set(staticVmids);
  }

  /** A VM that was built without us: it runs. VMID 3 is the primary one. */
  adopt(
    vmid: number,
    partition: number,
    profile: Profile,
    about: { readonly owner: number; readonly name: string },
  ): Vm {
    const vm = new Vm(vmid, about.owner, profile);
    vm.isAdopted = true;
    vm.name = about.name;
    vm.partition = partition;
    vm.state = VM_STATE.RUNNING;
    this.vms.add(vm);
    return vm;
  }

  /** A fresh handle for resources and interrupts. */
  nextHandle(): number {
    return this.#handle++;
  }

  /** Sends a notification, if the VM runs and has a link. */
  notify(vm: Vm | undefined, message: number, content: Uint8Array): void {
    if (vm?.link === undefined || !vm.isAlive) return;
    const sequence = this.#notification;
    this.#notification = (sequence + 1) & 0xffff;
    vm.link.send({ type: PACKET.notification, sequence, message, content });
  }

  /** Goes to `state` and tells the peers. */
  setState(vm: Vm, state: VmState): void {
    vm.state = state;
    this.announceStatus(vm);
  }

  /** VM_STATUS to every peer. */
  announceStatus(vm: Vm): void {
    const content = new PayloadWriter().u16(vm.vmid).u16(0).u8(vm.state).u8(vm.osState).u16(vm.appState).finish();
    for (const peer of this.vms.peersOf(vm)) this.notify(peer, RM_NOTIFICATION.VM_STATUS, content);
  }

  /** A VM has stopped for good: its state, then VM_STATUS, then VM_EXITED to its owner. `reason`: words after word 0. */
  async exited(vm: Vm, type: ExitType, flags: number, code: number, reason: readonly number[] = []): Promise<void> {
    if (!vm.isAlive) return;
    if (vm.partition !== undefined) await this.host.stopVm(vm.partition);
    this.setState(vm, VM_STATE.EXITED);
    const exitCode = code === 0 && type !== EXIT_TYPE.VM_EXIT && vm.crashMessage.length > 0 ? 1 : code;
    const words = [flags | (exitCode << 16), ...reason];
    const content = new PayloadWriter()
      .u16(vm.vmid)
      .u16(type)
      .u32(words.length * 4);
    for (const word of words) content.u32(word);
    this.notify(this.vms.get(vm.owner), RM_NOTIFICATION.VM_EXITED, content.finish());
  }

  /** As {@link exited} for SYSTEM_RESET2: bit 15 of the flags says that it was the 64-bit form. */
  exitedByReset(vm: Vm, { type, cookie, isWide }: ResetAsked): Promise<void> {
    const words = [type, Number(cookie & 0xffff_ffffn), Number(cookie >> 32n)];
    return this.exited(vm, EXIT_TYPE.PSCI_SYSTEM_RESET2, isWide ? RESET2_WIDE : 0, 0, words);
  }

  /** Returns everything a VM had of the machine; its VMID stays. */
  async tearDown(vm: Vm): Promise<void> {
    vm.link = undefined;
    vm.resources = [];
    for (const other of this.vms.all()) other.resources = other.resources.filter(({ partner }) => partner !== vm.vmid);
    for (const parcel of this.parcels.all()) {
      if (vm.partition === undefined || !parcel.holders.has(vm.vmid)) continue;
      await this.parcels.release(parcel, vm.vmid, vm.partition, false);
    }
    for (const port of vm.ports.splice(0)) {
      this.queues.forget(port);
      await this.host.destroyPort(port);
    }
    if (vm.partition !== undefined) {
      await this.host.stopVm(vm.partition);
      await this.host.deleteVm(vm.partition);
    }
    this.parcels.forget(vm.vmid);
    this.loans.forget(vm.vmid);
    vm.partition = undefined;
    vm.config = undefined;
    vm.image = undefined;
    vm.imageBase = undefined;
    vm.firmware = undefined;
    vm.isPaged = false;
    vm.pagedBytes = vm.guestPrivate = 0;
    vm.crashMessage = new Uint8Array(0);
    vm.bootContext.clear();
    vm.reserved.length = 0;
    vm.osState = 0;
    vm.appState = 0;
  }

  /** A VM goes for good, and before it the VMs it made. */
  async remove(vm: Vm): Promise<void> {
    for (const other of this.vms.all()) if (other.owner === vm.vmid && other !== vm) await this.remove(other);
    await this.tearDown(vm);
    this.vms.delete(vm.vmid);
    if (vm.vmid !== VMID.HLOS) return;
    this.isFirmwareFixed = false;
    this.firmware = undefined;
  }
}
