/**
 * What a resource manager that runs as guest code puts a VM together from: interrupt controllers, address spaces, power
 * groups, watchdogs, virtio-mmio devices, and threads attached to them (gunyah.md 2.2, 2.6, 2.7, 2.10). Checks of arguments are here, objects
 * and their lives in kernel-objects.ts.
 */
import { err, ok, type Result } from '../../bus/result.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import type { CoreAssembly, CoreMemory } from '../abi/gunyah/core.js';
import { VIRTIO_QUEUES_MAX, VIRTIO_TYPE } from '../shared-state/objects/virtio-mmio.js';
import { VM_CPUS_MAX } from '../shared-state/vm/vm-block.js';
import { type KernelObjects, VIC_DEFAULT, type VicConfig } from './kernel-objects.js';
import { mpidrMapping } from './mpidr-mapping.js';
import type { AttachmentType, ObjectFault } from './objects.protocol.js';

/** Addresses a guest can form end here. */
const IPA_END = 1n << 48n;
/** VMIDs of address spaces are 8 bits, and 0 is the hypervisor's. */
const VMIDS = 256;

type Done = Result<undefined, ObjectFault>;

/** See the head of this file. */
export class Assembly implements CoreAssembly {
  readonly #kernel: KernelObjects;
  readonly #memory: Pick<CoreMemory, 'attachPage' | 'attachInfoPage'>;
  readonly #nowMs: () => number;
  /** How often each watchdog that no VM has was frozen, in the life it was. */
  readonly #frozen = new Map<number, { readonly generation: number; readonly times: number }>();

  /** Whether an address space is one that guests made and that no processor is in. */
  readonly #isFree: (addrspace: number) => boolean;

  constructor(
    kernel: KernelObjects,
    memory: Pick<CoreMemory, 'attachPage' | 'attachInfoPage'>,
    nowMs: () => number,
    isFree: (addrspace: number) => boolean,
  ) {
    this.#kernel = kernel;
    this.#isFree = isFree;
    this.#memory = memory;
    this.#nowMs = nowMs;
  }

  #vic(vic: number): VicConfig {
    const config = this.#kernel.config(vic);
    return config?.is === 'vic' ? config : VIC_DEFAULT;
  }

  configureVic(vic: number, cpus: number, sharedInterrupts: number, msis: number, isMoved: boolean): Done {
    if (this.#kernel.table.state(vic) !== 'init') return err('badState');
    const fits = cpus >= 1 && cpus <= VM_CPUS_MAX && sharedInterrupts <= VIC_DEFAULT.sharedInterrupts;
    // Message-signalled interrupts need an interrupt translation service, which there is none of.
    if (!fits || msis !== 0) return err('badArgument');
    return this.#kernel.configure(vic, { ...this.#vic(vic), cpus, sharedInterrupts, isMoved });
  }

  mapMpidr(vic: number, mask: bigint, shifts: readonly number[], multiThread: boolean): Done {
    if (this.#kernel.table.state(vic) !== 'init') return err('badState');
    const mpidr = mpidrMapping(mask, shifts, multiThread);
    if (!mpidr.ok) return mpidr;
    return this.#kernel.configure(vic, { ...this.#vic(vic), mpidr: mpidr.value });
  }

  configureAddrspace(addrspace: number, vmid: number): Done {
    if (this.#kernel.table.state(addrspace) !== 'init') return err('badState');
    const config = this.#kernel.config(addrspace);
    return vmid === 0 || vmid >= VMIDS
      ? err('badArgument')
      : this.#kernel.configure(addrspace, { ...(config?.is === 'addrspace' && config), is: 'addrspace', vmid });
  }

  configureInfoArea(addrspace: number, extent: number, ipa: bigint): Done {
    if (this.#kernel.table.state(addrspace) !== 'init') return err('badState');
    const page = BigInt(HYP_PAGE_BYTES);
    if (ipa % page !== 0n || ipa + page > IPA_END) return err('badAddress');
    const attached = this.#memory.attachInfoPage(extent);
    return attached.ok ? this.#kernel.holdInfoArea(addrspace, extent, ipa) : attached;
  }

  attachController: CoreAssembly['attachController'] = (addrspace, vic, index, place) =>
    this.#kernel.controllers.attach(addrspace, vic, index, place, this.#isFree(addrspace));

  configureGroup(group: number, flags: number): Done {
    return this.#kernel.configure(group, { is: 'powerGroup', flags });
  }

  configureVirtio(virtio: number, extent: number, queues: number, type: number): Done {
    if (this.#kernel.table.state(virtio) !== 'init') return err('badState');
    const isKnown = type === VIRTIO_TYPE.other || type === VIRTIO_TYPE.input;
    if (queues > VIRTIO_QUEUES_MAX || !isKnown) return err('badArgument');
    const page = this.#memory.attachPage(extent);
    return page.ok ? this.#kernel.configureVirtio(virtio, { extent, page: page.value, queues, type }) : page;
  }

  attach(type: AttachmentType, object: number, thread: number, index: number): Done {
    const { table } = this.#kernel;
    if (table.state(thread) !== 'init') return err('badState');
    if (type === 'vic' && index >= (this.#kernel.controller(object)?.cpus ?? 0)) return err('badArgument');
    if (type === 'powerGroup' && index >= VM_CPUS_MAX) return err('badArgument');
    return this.#kernel.attach(thread, type, object, index);
  }

  configureWatchdog(watchdog: number, flags: number): Done {
    return this.#kernel.configure(watchdog, { is: 'watchdog', flags });
  }

  freezeWatchdog(watchdog: number, freeze: boolean, reset: boolean): Done {
    const running = this.#kernel.watchdog(watchdog, this.#nowMs);
    if (running !== undefined) return running.freeze(freeze, reset) ? ok() : err('busy');
    const generation = this.#kernel.table.generation(watchdog);
    const known = this.#frozen.get(watchdog);
    const times = (known?.generation === generation ? known.times : 0) + (freeze ? 1 : -1);
    if (times < 0 || times > FREEZES_MAX) return err('busy');
    if (times === 0) this.#frozen.delete(watchdog);
    else this.#frozen.set(watchdog, { generation, times });
    return ok();
  }
}

/** How often a watchdog may be frozen without having been let go. */
const FREEZES_MAX = 255;
