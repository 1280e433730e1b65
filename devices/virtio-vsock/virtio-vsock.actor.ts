/**
 * virtio socket device (V1.2, 5.10): stream sockets between the guest (AF_VSOCK) and Unix sockets of the host, see
 * vsock-connections.ts. Its worker may use the sockets it was granted and no others.
 */
import { actor, actorKind } from '../../actors/runtime/actor.js';
import { type HostListener, whyNotOpened } from '../../actors/runtime/network.js';
import type { Ask } from '../../actors/runtime/protocol.js';
import { err, ok } from '../../bus/result.js';
import type { Chain } from '../virtio/chain.js';
import { type Handled, VirtioDevice, type VirtioPlace } from '../virtio/virtio-device.js';
import { DEVICE } from '../virtio/wire.js';
import { HEAD_BYTES, HOST_CID, PacketHead, STREAM, TRANSPORT_RESET } from './vsock.wire.js';
import { DATA_BYTES_MAX, type HostPacket, VsockConnections } from './vsock-connections.js';

/** What the device is started with. */
export interface VsockConfig {
  readonly place: VirtioPlace;
  /** The guest's address. */
  readonly cid: number;
  /** The Unix socket that leads to the guest; `PATH_P` are the ports the guest reaches. */
  readonly path: string;
}

/** The device's messages. */
export type VsockProtocol = {
  counts: Ask<object, { connections: number; sockets: number }>;
};

const QUEUE = { receive: 0, transmit: 1, event: 2 } as const;
const QUEUE_SIZE = 128;
const PACKETS_PER_TURN = 64;
const CONFIG_BYTES = 8;

interface VsockState {
  readonly device: VirtioDevice;
  readonly cid: number;
  readonly connections: VsockConnections;
  readonly listener: HostListener;
  epoch: number;
  /** The driver has to be told that its connections are gone. */
  owesReset: boolean;
}

const head = new Uint8Array(PacketHead.sizeBytes);
const headView = new DataView(head.buffer);

/** Takes one packet of the guest. */
function takePacket(connections: VsockConnections, cid: number, chain: Chain): Handled {
  if (!connections.canTake) return 'later';
  if (!chain.read(0, head.subarray(0, HEAD_BYTES))) return 'broken';
  const read = PacketHead.read(headView, 0);
  if (!read.ok) return 'broken';
  const { lengthBytes, sourceCid, targetCid, sourcePort, targetPort, ...rest } = read.value;
  // Longer than it says, it may be; longer than there is, it cannot be.
  if (lengthBytes > DATA_BYTES_MAX || lengthBytes > chain.readableBytes - HEAD_BYTES) return 'broken';
  // Somebody else's packet: as on a real network, nobody hears it.
  if (sourceCid !== BigInt(cid)) return 0;
  const data = new Uint8Array(lengthBytes);
  if (!chain.read(HEAD_BYTES, data)) return 'broken';
  const target = targetCid < 0x1_0000_0000n ? Number(targetCid) : Number.NaN;
  connections.fromGuest({ ...rest, guestPort: sourcePort, hostPort: targetPort, targetCid: target }, data);
  return 0;
}

/** Moves packets to the guest; true when there may be more and it has room. */
function deliver(device: VirtioDevice, connections: VsockConnections, cid: number): boolean {
  if (!connections.hasPackets) return false;
  const more = device.turn(QUEUE.receive, (queue) => {
    queue.wantNotifications(false);
    for (let count = 0; count < PACKETS_PER_TURN && connections.hasPackets; count++) {
      let taken = queue.take();
      if (taken === 'empty') {
        queue.wantNotifications(true);
        taken = queue.take();
      }
      if (taken !== 'chain') return false;
      const { chain } = queue;
      if (chain.writableBytes <= HEAD_BYTES) {
        queue.refuse();
        return false;
      }
      const packet = connections.next(chain.writableBytes - HEAD_BYTES);
      if (packet === undefined) return false;
      if (!put(packet, cid, chain)) {
        queue.refuse();
        return false;
      }
      queue.use(HEAD_BYTES + packet.data.byteLength);
    }
    return connections.hasPackets;
  });
  return more === true;
}

function put(
  { guestPort, hostPort, operation, flags, bufferBytes, forwardedBytes, data }: HostPacket,
  cid: number,
  chain: Chain,
): boolean {
  PacketHead.write(headView, 0, {
    ...{ sourceCid: BigInt(HOST_CID), targetCid: BigInt(cid), sourcePort: hostPort, targetPort: guestPort },
    ...{ lengthBytes: data.byteLength, type: STREAM, operation, flags, bufferBytes, forwardedBytes, beyond: 0 },
  });
  return chain.write(0, head.subarray(0, HEAD_BYTES)) && chain.write(HEAD_BYTES, data);
}

/** Tells the driver that its connections are gone. */
function announceReset(state: VsockState): void {
  const { device } = state;
  if (!state.owesReset) return;
  if (!device.isLive) {
    state.owesReset = false;
    return;
  }
  device.serve(QUEUE.event, (chain) => {
    if (!state.owesReset) return 'later';
    const event = new Uint8Array(4);
    new DataView(event.buffer).setUint32(0, TRANSPORT_RESET, true);
    if (!chain.write(0, event)) return 'broken';
    state.owesReset = false;
    return event.byteLength;
  });
}

const vsock = actor<VsockConfig, VsockProtocol, VsockState>({
  name: 'virtio-vsock',
  mailboxMax: 16,
  supervision: { strategy: 'one-for-one', restartsMax: 10, withinMs: 10_000, otherwise: 'stop' },
  async start({ place, cid, path }, context) {
    const shape = {
      deviceId: DEVICE.socket,
      features: [],
      queueSizes: [QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE],
      configBytes: CONFIG_BYTES,
      configWritable: [0, 0],
    } as const;
    const device = new VirtioDevice(place, shape, {
      ring: (number) => context.ring({ actor: number }, 1),
      warn: (text) => context.log.warn(text),
    });
    device.config.setBigUint64(0, BigInt(cid), true);
    const network = context.network({ outgoing: false, listen: [], local: [path], localPorts: path });
    const wake = (): void => context.ring(context.self, 1);
    const connections = new VsockConnections(network, path, wake);
    const listener = await network.listenLocal(path, (stream) => connections.accept(stream));
    if (!listener.ok) return err(`${path} cannot be listened at: ${whyNotOpened(listener.error.detail)}`);
    wake();
    const owesReset = context.incarnation > 0;
    return ok({ device, cid, connections, listener: listener.value, epoch: device.epoch, owesReset });
  },
  on: {
    counts: ({ connections }) => ok(connections.counts),
  },
  rang(state, _flags, context) {
    const { device, connections, cid } = state;
    device.takeKicks();
    if (state.epoch !== device.epoch) {
      state.epoch = device.epoch;
      state.owesReset = false;
      connections.clear();
    }
    announceReset(state);
    const moreOut = device.serve(QUEUE.transmit, (chain) => takePacket(connections, cid, chain));
    const moreIn = deliver(device, connections, cid);
    if (moreOut || moreIn) context.ring(context.self, 1);
  },
  stop({ connections, listener }) {
    connections.clear();
    listener.close();
  },
});
export default vsock;

/** How its worker is made. */
export const virtioVsockKind = actorKind(vsock, { module: new URL(import.meta.url), heapMegabytesMax: 384 });
