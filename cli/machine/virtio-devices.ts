/** Gives every virtio device of a machine its slot, its window onto guest memory and its worker. */
import type { SpawnFailure } from '../../actors/runtime/actor.js';
import type { FileToken, FolderToken } from '../../actors/runtime/files.js';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import type { ActorSystem } from '../../actors/runtime/system.js';
import type { FrontEndPlace } from '../../actors/shared-state/mmio/front-end.js';
import { err, ok, type Result } from '../../bus/result.js';
import { MEMORY_MAP, spiToIntid, virtioMmioSlot } from '../../devices/machine/memory-map.js';
import { createDeviceBlock } from '../../devices/virtio/device-block.js';
import type { MmioFrontEndConfig } from '../../devices/virtio/mmio.front-end.js';
import type { VirtioPlace } from '../../devices/virtio/virtio-device.js';
import { virtioNinepKind } from '../../devices/virtio-9p/virtio-9p.actor.js';
import { createBalloonLedger } from '../../devices/virtio-balloon/balloon-ledger.js';
import { type VirtioBalloonProtocol, virtioBalloonKind } from '../../devices/virtio-balloon/virtio-balloon.actor.js';
import type { DiskLayer } from '../../devices/virtio-blk/disk-layers.js';
import { virtioBlkKind } from '../../devices/virtio-blk/virtio-blk.actor.js';
import { type VirtioConsoleProtocol, virtioConsoleKind } from '../../devices/virtio-console/virtio-console.actor.js';
import type { NetFrontEndConfig } from '../../devices/virtio-net/virtio-net.front-end.js';
import { virtioRngKind } from '../../devices/virtio-rng/virtio-rng.actor.js';
import { virtioVsockKind } from '../../devices/virtio-vsock/virtio-vsock.actor.js';
import { whyNotStarted } from './deaths.js';
import { type NetworkCard, startNetworkCard } from './network-card.js';

/** A device and what it is made from; its place in the list is its virtio-mmio slot. */
export type VirtioChoice =
  | { readonly kind: 'console'; readonly columns: number; readonly rows: number }
  | { readonly kind: 'rng'; readonly entropy: FileToken }
  | { readonly kind: 'disk'; readonly layers: readonly DiskLayer[]; readonly isReadOnly: boolean }
  | { readonly kind: 'net'; readonly network: NetworkCard }
  | { readonly kind: 'share'; readonly folder: FolderToken; readonly tag: string }
  | { readonly kind: 'vsock'; readonly path: string; readonly cid: number }
  | { readonly kind: 'balloon'; readonly targetBytes: number; readonly deflateOnOom: boolean };

/** The parts of the machine that devices are connected to. */
export interface VirtioWiring {
  readonly memory: WebAssembly.Memory;
  readonly block: number;
  readonly stage2: number;
  readonly gic: number;
  /** Byte streams of the virtio console, if there is one. */
  readonly output: SharedArrayBuffer;
  readonly input: SharedArrayBuffer;
  /** Memory of the machine. */
  readonly ramBytes: number;
}

/** The devices as they run. */
export interface VirtioDevices {
  readonly frontEnds: readonly FrontEndPlace[];
  readonly actors: readonly ActorRef<never>[];
  readonly console: ActorRef<VirtioConsoleProtocol> | undefined;
  readonly balloon: ActorRef<VirtioBalloonProtocol> | undefined;
}

const FRONT_END = new URL('../../devices/virtio/mmio.front-end.js', import.meta.url).href;

const NET_FRONT_END = new URL('../../devices/virtio-net/virtio-net.front-end.js', import.meta.url).href;

/** Starts the devices of `choices`; the error is a sentence. */
export async function startVirtioDevices(
  system: ActorSystem,
  choices: readonly VirtioChoice[],
  { memory, block, stage2, gic, output, input, ramBytes }: VirtioWiring,
  machine: string,
): Promise<Result<VirtioDevices, string>> {
  const frontEnds: FrontEndPlace[] = [];
  const actors: ActorRef<never>[] = [];
  let console: ActorRef<VirtioConsoleProtocol> | undefined;
  let balloon: ActorRef<VirtioBalloonProtocol> | undefined;
  for (const [slot, choice] of choices.entries()) {
    const window = virtioMmioSlot(slot);
    const registers = createDeviceBlock();
    const place = { memory, block, stage2, gic, window: slot, registers, intid: spiToIntid(window.spi) };
    const name = `${machine}-${choice.kind}${slot}`;
    if (choice.kind === 'net') {
      const network = await startNetworkCard(system, choice.network, place, name);
      if (!network.ok) return network;
      const { actors: started, help } = network.value;
      actors.push(...started);
      const plain: MmioFrontEndConfig = { registers, memory, block, actor: started[0].actor };
      const config = help === undefined ? plain : ({ ...plain, help } satisfies NetFrontEndConfig);
      const module = help === undefined ? FRONT_END : NET_FRONT_END;
      frontEnds.push({ base: window.base, sizeBytes: window.sizeBytes, module, config });
      continue;
    }
    const started = await start(system, choice, place, { output, input, ramBytes }, name);
    if (!started.ok) return err(whyNotStarted(name, started.error));
    const ref = started.value;
    if (choice.kind === 'console') console = { actor: ref.actor };
    if (choice.kind === 'balloon') balloon = { actor: ref.actor };
    actors.push(ref);
    const config: MmioFrontEndConfig = { registers, memory, block, actor: ref.actor };
    frontEnds.push({ base: window.base, sizeBytes: window.sizeBytes, module: FRONT_END, config });
  }
  return ok({ frontEnds, actors, console, balloon });
}

function start(
  system: ActorSystem,
  choice: Exclude<VirtioChoice, { kind: 'net' }>,
  place: VirtioPlace,
  { ramBytes, ...streams }: Pick<VirtioWiring, 'output' | 'input' | 'ramBytes'>,
  name: string,
): Promise<Result<ActorRef<never>, SpawnFailure>> {
  switch (choice.kind) {
    case 'console': {
      const { columns, rows } = choice;
      return system.spawn(virtioConsoleKind, { place, ...streams, columns, rows }, { name });
    }
    case 'rng':
      return system.spawn(virtioRngKind, { place, entropy: choice.entropy }, { name });
    case 'disk': {
      const { layers, isReadOnly } = choice;
      return system.spawn(virtioBlkKind, { place, layers, isReadOnly, serial: `wurley-${place.window}` }, { name });
    }
    case 'balloon': {
      const { targetBytes, deflateOnOom } = choice;
      const ram = { ramBase: MEMORY_MAP.ramBase, ramBytes, ledger: createBalloonLedger(ramBytes) };
      return system.spawn(virtioBalloonKind, { place, ...ram, targetBytes, deflateOnOom }, { name });
    }
    case 'vsock':
      return system.spawn(virtioVsockKind, { place, path: choice.path, cid: choice.cid }, { name });
    case 'share':
      return system.spawn(virtioNinepKind, { place, folder: choice.folder, tag: choice.tag }, { name });
  }
}
