/** Links between the VMs of a host: who has an end of which, and what the VM's device tree says of it. */

import { doorbellNode, memoryNode, queuePairNode, type TreePort } from '../../actors/resource-manager/guest-tree.js';
import type { AdoptedVm, PortText } from '../../actors/resource-manager/resource-manager.protocol.js';
import type { VdeviceConfig } from '../../actors/resource-manager/vm-config.js';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import { GUNYAH_QUEUE_LIMITS } from '../../bus/message-queue/queue-layout.js';
import { err, ok, type Result } from '../../bus/result.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import type { TreeNode } from '../../devices/machine/device-tree/tree.js';
import type { LinkSpec } from '../lab/lab-host.js';
import type { Host } from './host.js';

/** Where shared memory lies in every VM that sees it: above the largest RAM, below what MEM_ACCEPT places by itself. */
const SHARED_FROM = 0x2_0000_0000;
const SHARED_END = 0x3_0000_0000;
const SHARED_ALIGN = 0x20_0000;
const SHARED_BYTES_MAX = 0x4000_0000;
/** Links of a host: memory is a region of one partition each. */
const LINKS_MAX = 64;

type MemoryLink = Extract<LinkSpec, { kind: 'memory' }>;
interface Declared {
  readonly spec: LinkSpec;
  readonly label: number;
  /** Of memory: the core's parcel, and its guest-physical address. */
  readonly memory: { readonly parcel: number; readonly ipa: number } | undefined;
}

/** Who has an end of a link. */
function endsOf(spec: LinkSpec): readonly string[] {
  return spec.kind === 'doorbell' ? [spec.from, spec.to] : spec.between;
}

/** See the head of this file. */
export class Links {
  readonly #host: Host;
  readonly #declared: Declared[] = [];
  #nextIpa = SHARED_FROM;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Whether the VM called `name` has an end of any link. */
  concerns(name: string): boolean {
    return this.#declared.some(({ spec }) => endsOf(spec).includes(name));
  }

  /** Declares a link; `home` is the partition that pays for memory. The error is a sentence; throws BuildFailure. */
  async declare(spec: LinkSpec, home: () => Promise<number>): Promise<Result<undefined, string>> {
    const refused = this.#check(spec);
    if (refused !== undefined) return err(`link ${spec.name}: ${refused}`);
    const memory = spec.kind === 'memory' ? await this.#makeMemory(spec, await home()) : undefined;
    this.#declared.push({ spec, label: this.#declared.length + 1, memory });
    return ok();
  }

  #check(spec: LinkSpec): string | undefined {
    const ends = endsOf(spec);
    // A name is that of a node in the trees of its ends.
    const isTaken = this.#declared.some(
      (one) => one.spec.name === spec.name && endsOf(one.spec).some((end) => ends.includes(end)),
    );
    if (isTaken) return 'there is a link of this name';
    if (this.#declared.length >= LINKS_MAX) return `a host has ${LINKS_MAX} links at most`;
    // A queue may lead from a VM to itself.
    const areDistinct = new Set(ends).size === ends.length || spec.kind === 'queue';
    if (!areDistinct || ends.length < 2) return 'its ends are not distinct VMs';
    if (spec.kind === 'queue') {
      const { depthMax, messageBytesMax } = GUNYAH_QUEUE_LIMITS;
      const isWithin = (value: number, max: number): boolean => Number.isInteger(value) && value >= 1 && value <= max;
      if (!isWithin(spec.depth, depthMax)) return `its depth is not between 1 and ${depthMax}`;
      if (!isWithin(spec.messageBytesMax, messageBytesMax)) return `messages have 1 to ${messageBytesMax} bytes`;
    }
    if (spec.kind === 'memory') {
      const { bytes } = spec;
      const isWhole = Number.isInteger(bytes) && bytes > 0 && bytes <= SHARED_BYTES_MAX && bytes % HYP_PAGE_BYTES === 0;
      if (!isWhole) return 'its bytes are not whole pages of 4 KiB, up to 1 GiB';
      if (this.#nextIpa + bytes > SHARED_END) return 'there is no room for so much shared memory';
      if (!spec.writers.every((writer) => spec.between.includes(writer))) return 'a writer is none of its ends';
    }
    return undefined;
  }

  async #makeMemory({ bytes }: MemoryLink, partition: number): Promise<Declared['memory']> {
    const ipa = this.#nextIpa;
    this.#nextIpa += Math.ceil(bytes / SHARED_ALIGN) * SHARED_ALIGN;
    const { core } = this.#host;
    await core.ask('mapGuestMemory', { partition, ipa, bytes, rights: STAGE2_RIGHTS.all });
    const ranges = [{ ipa, bytes }];
    const { parcel } = await core.ask('createParcel', {
      partition,
      transfer: 'share',
      ranges,
      keep: STAGE2_RIGHTS.all,
    });
    return { parcel, ipa };
  }

  /** What the VM called `name` is to be given beside its RPC queues. */
  vdevicesOf(name: string): readonly VdeviceConfig[] {
    return this.#declared.flatMap((declared) => {
      const device = vdeviceOf(declared, name);
      return device === undefined ? [] : [device];
    });
  }

  /** Maps shared memory into a VM before it runs. Throws BuildFailure. */
  async mapMemory(name: string, partition: number): Promise<void> {
    for (const { spec, memory } of this.#declared) {
      if (spec.kind !== 'memory' || memory === undefined || !spec.between.includes(name)) continue;
      const { read, write } = STAGE2_RIGHTS;
      const rights = spec.writers.includes(name) ? read | write : read;
      const places = [{ ipa: memory.ipa, bytes: spec.bytes }];
      await this.#host.core.ask('mapParcel', { parcel: memory.parcel, partition, places, rights });
    }
  }
}

function vdeviceOf({ spec, label, memory }: Declared, name: string): VdeviceConfig | undefined {
  if (!endsOf(spec).includes(name)) return undefined;
  const peer = endsOf(spec).find((end) => end !== name) ?? name;
  const plain = { peerDefault: false, isSender: false, sourceCanClear: false, pushCompatible: [] };
  const generate = `/hypervisor/${spec.name}`;
  if (spec.kind === 'memory') {
    if (memory === undefined) return undefined;
    const isWritable = spec.writers.includes(name);
    const shared = { address: BigInt(memory.ipa), bytes: BigInt(spec.bytes), isWritable };
    return { ...plain, type: 'shm', label, generate, peer: undefined, depth: 1, messageBytes: 1, shared };
  }
  const isQueue = spec.kind === 'queue';
  const type = isQueue ? 'message-queue-pair' : spec.from === name ? 'doorbell-source' : 'doorbell';
  return {
    ...plain,
    ...{ type, label, peer, generate },
    depth: isQueue ? spec.depth : 1,
    messageBytes: isQueue ? spec.messageBytesMax : 1,
  };
}

/** A port as the tree names it. */
export const treePort = ({ capability, virq }: PortText): TreePort => ({ capability: BigInt(capability), virq });

/** The nodes of the ends that a VM was given, in the order of `vdevices`. */
export function linkNodes(vdevices: readonly VdeviceConfig[], ports: AdoptedVm['ports']): readonly TreeNode[] {
  return vdevices.flatMap((device, index) => {
    const { tx, rx, peer = 0 } = ports[index] ?? {};
    const name = device.generate.slice(device.generate.lastIndexOf('/') + 1);
    if (device.shared !== undefined) return [memoryNode(name, device.shared, device.label)];
    if (tx !== undefined && rx !== undefined) {
      return [queuePairNode(name, treePort(tx), treePort(rx), { ...device, peer })];
    }
    const end = tx ?? rx;
    return end === undefined ? [] : [doorbellNode(name, treePort(end), tx !== undefined, device)];
  });
}
