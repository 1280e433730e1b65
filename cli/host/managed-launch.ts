/**
 * Launching a VM as a VMM on Gunyah does (gunyah.md 9): guest memory from the VM manager, images and device tree put there, the
 * configuration node in the tree, and VM_START. Android 15's calls; the resource manager makes the partition, and whoever gives it its
 * threads adds the devices.
 */
import type { Profile } from '../../actors/abi/gunyah/identity.js';
import type { VdeviceConfig } from '../../actors/resource-manager/vm-config.js';
import type { Errno } from '../../actors/vm-manager/errno.js';
import type { GunyahDevice, GunyahVmFile } from '../../actors/vm-manager/gunyah-device.js';
import { CMA_LEND, MEM } from '../../actors/vm-manager/uapi.js';
import type { Result } from '../../bus/result.js';
import { HYP_PAGE_BYTES } from '../../bus/units.js';
import type { BootPlan } from '../../devices/machine/boot-plan.js';
import { cells, cells64, node, PRESENT, strings, type TreeNode } from '../../devices/machine/device-tree/tree.js';
import { MEMORY_MAP } from '../../devices/machine/memory-map.js';
import { BuildFailure } from './core-client.js';
import { adviseHugePages } from './huge-pages.js';

/** Room behind the tree for what the resource manager adds: its nodes are a few hundred bytes each. */
const OVERLAY_BYTES = 0x1_0000;
/** Boot register: the program counter. */
const BOOT_PC = 0x100;
const GIC_PHANDLE = 1;

/** What a VM's configuration node says. */
export interface ManagedConfig {
  readonly name: string;
  readonly cpus: number;
  readonly profile: Profile;
  readonly vdevices: readonly VdeviceConfig[];
}

/** The node of section 7.4. */
export function configNode({ name, cpus, profile, vdevices }: ManagedConfig): TreeNode {
  const rpc = node('rm-rpc', {
    'vdevice-type': strings('rm-rpc'),
    generate: strings('/hypervisor/rm-rpc'),
    'message-size': cells(240),
    'queue-depth': cells(8),
    'peer-default': PRESENT,
  });
  return node(
    'gunyah-vm-config',
    {
      'image-name': strings(name),
      'os-type': strings('linux'),
      'vm-type': strings('aarch64-guest'),
      'abi-profile': strings(profile),
      watchdog: PRESENT,
    },
    [
      node('memory', {
        '#address-cells': cells(2),
        '#size-cells': cells(2),
        'base-address': cells64(MEMORY_MAP.ramBase),
      }),
      node('interrupts', { config: cells(GIC_PHANDLE) }),
      node('vcpus', {
        config: strings('/cpus'),
        affinity: strings('static'),
        'affinity-map': cells(...Array.from({ length: cpus }, (_, index) => index)),
        'sched-priority': cells(0xffff_ffff),
      }),
      node('vdevices', {}, [rpc, ...vdevices.map(vdeviceNode)]),
    ],
  );
}

function vdeviceNode(device: VdeviceConfig, index: number): TreeNode {
  const { shared } = device;
  return node(`vdevice-${index}`, {
    'vdevice-type': strings(device.type),
    generate: strings(device.generate),
    label: cells(device.label),
    'queue-depth': cells(device.depth),
    'message-size': cells(device.messageBytes),
    peer: device.peer === undefined ? undefined : strings(`vm-name:${device.peer}`),
    'memory-base': shared && cells64(shared.address),
    'memory-size': shared && cells64(shared.bytes),
    'read-only': shared === undefined || shared.isWritable ? undefined : PRESENT,
  });
}

/** A VM that the VM manager started. */
export interface ManagedVm {
  readonly file: GunyahVmFile;
  /** Closes it, which ends it if it still runs; answered when its memory is given back. */
  close(): Promise<void>;
}

/** Values of calls, or the sentence that names the one that was refused. */
function need<T>(what: string, answer: Result<T, Errno>): T {
  if (!answer.ok) throw new BuildFailure(`the VM manager refused ${what} (${answer.error})`);
  return answer.value;
}

/** Launches; throws BuildFailure. `memory` is the machine's. */
export async function launchManaged(
  device: GunyahDevice,
  memory: Uint8Array,
  plan: BootPlan,
  ramBytes: number,
): Promise<ManagedVm> {
  const fd = need('CREATE_GUEST_MEM', await device.createGuestMem({ flags: 0n, size: BigInt(ramBytes) }));
  let file: GunyahVmFile | undefined;
  const close = async (): Promise<void> => {
    await file?.close();
    await device.close(fd);
  };
  try {
    const { host } = need('mmap', await device.memoryOf(fd));
    adviseHugePages(memory.subarray(host, host + ramBytes));
    for (const { ipa, bytes } of plan.placements) memory.set(bytes, host + (ipa - MEMORY_MAP.ramBase));
    file = need('CREATE_VM', await device.createVm(0));
    const guestAddr = BigInt(MEMORY_MAP.ramBase);
    // What MAP_MEM binds comes to proxied vCPUs when they want it; these run by themselves and have it all from the start.
    const flags = MEM.read | MEM.write | MEM.exec | CMA_LEND;
    const map = { label: 0, guestAddr, flags, guestMemFd: fd, offset: 0n, size: BigInt(ramBytes) };
    need('MAP_CMA_MEM', await file.mapCmaMem(map));
    const tree = treeRoom(plan, ramBytes);
    need('SET_DTB_CONFIG', await file.setDtbConfig({ guestPhysAddr: BigInt(tree.ipa), size: BigInt(tree.bytes) }));
    const context = { reg: BOOT_PC, reserved: 0, value: BigInt(plan.entry) };
    need('SET_BOOT_CONTEXT', await file.setBootContext(context));
    need('VM_START', await file.start());
    return { file, close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

/** Where the tree lies, with what of {@link OVERLAY_BYTES} is free behind it. Throws BuildFailure. */
function treeRoom(
  { placements, deviceTree }: BootPlan,
  ramBytes: number,
): { readonly ipa: number; readonly bytes: number } {
  const tree = placements.find(({ bytes }) => bytes === deviceTree);
  if (tree === undefined) throw new BuildFailure('the boot plan has no device tree');
  const wanted = Math.ceil((deviceTree.length + OVERLAY_BYTES) / HYP_PAGE_BYTES) * HYP_PAGE_BYTES;
  const end = Math.min(
    MEMORY_MAP.ramBase + ramBytes,
    ...placements.filter(({ ipa }) => ipa > tree.ipa).map(({ ipa }) => ipa),
  );
  const bytes = Math.min(wanted, Math.floor((end - tree.ipa) / HYP_PAGE_BYTES) * HYP_PAGE_BYTES);
  if (bytes < deviceTree.length + HYP_PAGE_BYTES) {
    throw new BuildFailure('there is no room behind the device tree for what the resource manager adds');
  }
  return { ipa: tree.ipa, bytes };
}
