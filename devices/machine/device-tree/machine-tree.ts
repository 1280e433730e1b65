/** The device tree of our machine: the same nodes as QEMU's `virt`, without what we do not have (ITS, PCIe). */
import type { BootChoices, MachineDescription } from '../description.js';
import {
  MEMORY_MAP,
  mpidrOf,
  PERIPHERAL_CLOCK_HZ,
  POWER_BUTTON_LINE,
  PPI,
  virtioMmioSlot,
  type Window,
  type WiredWindow,
} from '../memory-map.js';
import { cells, cells64, type DeviceTree, node, PRESENT, strings, type TreeNode } from './tree.js';

/** Phandles: how nodes name each other. */
const PHANDLE = { gic: 1, clock: 2, gpio: 3, cpu: 16 } as const;
/** Interrupt specifier cells of the GIC binding: type, number, trigger. */
const GIC = { spi: 0, ppi: 1, edge: 1, levelHigh: 4 } as const;
/** KEY_POWER of the Linux input event codes. */
const KEY_POWER = 116;
/** `efi_secureboot_mode_disabled` of include/linux/efi.h. */
const SECURE_BOOT_DISABLED = 2;
/** PSCI function ids for firmware that knows only PSCI 0.1's explicit numbers (DEN0022, table 5.1). */
const PSCI = { cpuSuspend: 0xc400_0001, cpuOff: 0x8400_0002, cpuOn: 0xc400_0003, migrate: 0xc400_0005 } as const;

const reg = (...windows: readonly Window[]): Uint8Array => cells64(...windows.flatMap((w) => [w.base, w.sizeBytes]));
const at = (name: string, window: Window): string => `${name}@${window.base.toString(16)}`;
const spi = (window: WiredWindow, trigger: number): Uint8Array => cells(GIC.spi, window.spi, trigger);
const ppi = (...intids: readonly number[]): Uint8Array =>
  cells(...intids.flatMap((intid) => [GIC.ppi, intid - 16, GIC.levelHigh]));

/** An Arm PrimeCell at `window` with the fixed clock. */
function primeCell(
  name: string,
  part: string,
  window: WiredWindow,
  more: Readonly<Record<string, Uint8Array>> = {},
): TreeNode {
  return node(at(name, window), {
    compatible: strings(`arm,${part}`, 'arm,primecell'),
    reg: reg(window),
    interrupts: spi(window, GIC.levelHigh),
    clocks: cells(PHANDLE.clock),
    'clock-names': strings('apb_pclk'),
    ...more,
  });
}

function cpuNodes(count: number): TreeNode {
  const indexes = Array.from({ length: count }, (_, index) => index);
  const map = node('cpu-map', {}, [
    node('socket0', {}, [
      node(
        'cluster0',
        {},
        indexes.map((index) => node(`core${index}`, { cpu: cells(PHANDLE.cpu + index) })),
      ),
    ]),
  ]);
  const cpus = indexes.map((index) =>
    node(`cpu@${mpidrOf(index).toString(16)}`, {
      device_type: strings('cpu'),
      compatible: strings('arm,armv8'),
      reg: cells(mpidrOf(index)),
      'enable-method': strings('psci'),
      phandle: cells(PHANDLE.cpu + index),
    }),
  );
  return node('cpus', { '#address-cells': cells(1), '#size-cells': cells(0) }, [map, ...cpus]);
}

function interruptController(): TreeNode {
  return node(at('intc', MEMORY_MAP.gicDistributor), {
    compatible: strings('arm,gic-v3'),
    reg: reg(MEMORY_MAP.gicDistributor, MEMORY_MAP.gicRedistributors),
    '#redistributor-regions': cells(1),
    '#interrupt-cells': cells(3),
    'interrupt-controller': PRESENT,
    '#address-cells': cells(2),
    '#size-cells': cells(2),
    ranges: PRESENT,
    phandle: cells(PHANDLE.gic),
  });
}

/** The two nodes of the power button: the GPIO block, and the key on its line. */
function powerButton(): readonly TreeNode[] {
  return [
    primeCell('pl061', 'pl061', MEMORY_MAP.gpio, {
      'gpio-controller': PRESENT,
      '#gpio-cells': cells(2),
      phandle: cells(PHANDLE.gpio),
    }),
    node('gpio-keys', { compatible: strings('gpio-keys') }, [
      node('poweroff', {
        label: strings('GPIO Key Poweroff'),
        'linux,code': cells(KEY_POWER),
        gpios: cells(PHANDLE.gpio, POWER_BUTTON_LINE, 0),
      }),
    ]),
  ];
}

/** The /chosen node. Also used to complete a tree the user brought. */
export function chosenProperties(choices: BootChoices): Readonly<Record<string, Uint8Array | undefined>> {
  const { initrd, kaslrSeed, rngSeed, efi } = choices;
  return {
    bootargs: strings(choices.bootArguments),
    'linux,initrd-start': initrd && cells64(initrd.start),
    'linux,initrd-end': initrd && cells64(initrd.end),
    'kaslr-seed': kaslrSeed === undefined ? undefined : cells64(kaslrSeed),
    'rng-seed': rngSeed,
    'linux,uefi-system-table': efi && cells64(efi.systemTable),
    'linux,uefi-mmap-start': efi && cells64(efi.memoryMap),
    'linux,uefi-mmap-size': efi && cells(efi.memoryMapBytes),
    'linux,uefi-mmap-desc-size': efi && cells(efi.descriptorBytes),
    'linux,uefi-mmap-desc-ver': efi && cells(efi.descriptorVersion),
    // Debian's kernels give up on EFI altogether without this one.
    'linux,uefi-secure-boot': efi && cells(SECURE_BOOT_DISABLED),
  };
}

/** The memory node for `ramBytes` of RAM. */
export function memoryNode(ramBytes: number): TreeNode {
  const ram = { base: MEMORY_MAP.ramBase, sizeBytes: ramBytes };
  return node(at('memory', ram), { device_type: strings('memory'), reg: reg(ram) });
}

/** The full tree: hardware and choices. */
export function machineTree(machine: MachineDescription, choices: BootChoices): DeviceTree {
  const virtio = machine.virtioSlots.map((slot) => {
    const window = virtioMmioSlot(slot);
    return node(at('virtio_mmio', window), {
      compatible: strings('virtio,mmio'),
      reg: reg(window),
      interrupts: spi(window, GIC.edge),
      'dma-coherent': PRESENT,
    });
  });
  const { base, sizeBytes } = MEMORY_MAP.flash;
  const bankBytes = sizeBytes / 2;
  const flash = node(at('flash', MEMORY_MAP.flash), {
    compatible: strings('cfi-flash'),
    reg: reg({ base, sizeBytes: bankBytes }, { base: base + bankBytes, sizeBytes: bankBytes }),
    'bank-width': cells(4),
  });
  const fwCfg = node(at('fw-cfg', MEMORY_MAP.fwCfg), {
    compatible: strings('qemu,fw-cfg-mmio'),
    reg: reg(MEMORY_MAP.fwCfg),
    'dma-coherent': PRESENT,
  });
  const children: readonly TreeNode[] = [
    node('chosen', { 'stdout-path': strings(`/${at('pl011', MEMORY_MAP.uart)}`), ...chosenProperties(choices) }),
    memoryNode(machine.ramBytes),
    cpuNodes(machine.cpus),
    node('psci', {
      compatible: strings('arm,psci-1.0', 'arm,psci-0.2', 'arm,psci'),
      method: strings('hvc'),
      cpu_suspend: cells(PSCI.cpuSuspend),
      cpu_off: cells(PSCI.cpuOff),
      cpu_on: cells(PSCI.cpuOn),
      migrate: cells(PSCI.migrate),
    }),
    node('timer', {
      compatible: strings('arm,armv8-timer', 'arm,armv7-timer'),
      'always-on': PRESENT,
      interrupts: ppi(PPI.securePhysicalTimer, PPI.physicalTimer, PPI.virtualTimer, PPI.hypervisorTimer),
    }),
    ...(machine.pmu
      ? [node('pmu', { compatible: strings('arm,armv8-pmuv3'), interrupts: ppi(PPI.performanceMonitor) })]
      : []),
    interruptController(),
    node('apb-pclk', {
      compatible: strings('fixed-clock'),
      '#clock-cells': cells(0),
      'clock-frequency': cells(PERIPHERAL_CLOCK_HZ),
      'clock-output-names': strings('clk24mhz'),
      phandle: cells(PHANDLE.clock),
    }),
    primeCell('pl011', 'pl011', MEMORY_MAP.uart, {
      clocks: cells(PHANDLE.clock, PHANDLE.clock),
      'clock-names': strings('uartclk', 'apb_pclk'),
    }),
    primeCell('pl031', 'pl031', MEMORY_MAP.rtc),
    ...powerButton(),
    ...(machine.hasFirmware ? [flash, fwCfg] : []),
    ...virtio,
    ...(machine.extraNodes ?? []),
  ];
  const root = node(
    '',
    {
      compatible: strings('linux,dummy-virt'),
      model: strings('linux,dummy-virt'),
      'interrupt-parent': cells(PHANDLE.gic),
      '#address-cells': cells(2),
      '#size-cells': cells(2),
    },
    children,
  );
  return { root, reservations: [], bootCpu: mpidrOf(0) };
}

/**
 * The tree of a machine described by ACPI alone: /chosen and nothing else, which is what makes an arm64 kernel prefer
 * ACPI without being told (arch/arm64/kernel/acpi.c, dt_is_stub).
 */
export function chosenOnlyTree(choices: BootChoices): DeviceTree {
  const root = node('', { '#address-cells': cells(2), '#size-cells': cells(2) }, [
    node('chosen', chosenProperties(choices)),
  ]);
  return { root, reservations: [], bootCpu: mpidrOf(0) };
}

/**
 * A tree the user brought, completed with what only the loader knows: `choices` in /chosen, and the memory node when
 * the tree has none.
 */
export function completeTree(tree: DeviceTree, ramBytes: number, choices: BootChoices): DeviceTree {
  const { root } = tree;
  const chosen = root.children.find((child) => child.name === 'chosen');
  const properties = new Map(chosen?.properties);
  for (const [name, value] of Object.entries(chosenProperties(choices)))
    if (value !== undefined && !(name === 'bootargs' && choices.bootArguments === '')) properties.set(name, value);
  const others = root.children.filter((child) => child !== chosen);
  const hasMemory = others.some((child) => child.name === 'memory' || child.name.startsWith('memory@'));
  const children = [
    { name: 'chosen', properties, children: chosen?.children ?? [] },
    ...(hasMemory ? [] : [memoryNode(ramBytes)]),
    ...others,
  ];
  return { ...tree, root: { ...root, children } };
}
