/** Subject: sockets, with a host in memory at their other end. */
import type { Random } from '../../actors/runtime/random.js';
import virtioVsock from '../../devices/virtio-vsock/virtio-vsock.actor.js';
import { HEAD_BYTES, OPERATION, PacketHead, STREAM } from '../../devices/virtio-vsock/vsock.wire.js';
import { CONNECTIONS_MAX } from '../../devices/virtio-vsock/vsock-connections.js';
import { DeviceActor } from '../drivers/device-actor.js';
import type { HostileDriver } from '../drivers/hostile-driver.js';
import { MemoryNetwork } from '../drivers/memory-network.js';
import { demand, NOTHING, type Subject } from './subject.js';

const CID = 3;
/** More buffers than packets that may wait. */
const TRIES_MAX = 2_000;
/** Streams of the host kept by the test: the oldest are closed. */
const STREAMS_MAX = 64;

interface Packet {
  readonly sourcePort: number;
  readonly targetPort: number;
  readonly operation: number;
  readonly lengthBytes?: number;
  readonly sourceCid?: number;
  readonly targetCid?: number;
  readonly type?: number;
  readonly flags?: number;
  readonly bufferBytes?: number;
  readonly forwardedBytes?: number;
}

function packet(values: Packet, data = NOTHING): Uint8Array {
  const bytes = new Uint8Array(PacketHead.sizeBytes + data.length);
  const { sourceCid = CID, targetCid = 2, lengthBytes = data.length, type = STREAM, flags = 0 } = values;
  const { sourcePort, targetPort, operation, bufferBytes = 1 << 16, forwardedBytes = 0 } = values;
  PacketHead.write(new DataView(bytes.buffer), 0, {
    ...{ sourceCid: BigInt(sourceCid), targetCid: BigInt(targetCid), sourcePort, targetPort, lengthBytes, type },
    ...{ operation, flags, bufferBytes, forwardedBytes, beyond: 0 },
  });
  bytes.set(data, HEAD_BYTES);
  return bytes.subarray(0, HEAD_BYTES + data.length);
}

function randomPacket(random: Random): Uint8Array {
  const data = new Uint8Array(random.below(3000));
  return packet(
    {
      sourceCid: random.oneIn(50) ? random.u32() : CID,
      targetCid: random.oneIn(50) ? random.u32() : 2,
      sourcePort: random.below(6),
      targetPort: random.oneIn(20) ? random.u32() : random.below(4),
      lengthBytes: random.oneIn(40) ? random.u32() : data.length,
      type: random.oneIn(60) ? random.below(4) : STREAM,
      operation: random.oneIn(40) ? random.below(65536) : random.below(9),
      flags: random.below(5),
      bufferBytes: random.oneIn(3) ? random.u32() : 1 << 16,
      forwardedBytes: random.oneIn(3) ? random.u32() : 0,
    },
    data,
  );
}

/** virtio-vsock. */
export async function vsockSubject(hostile: HostileDriver): Promise<Subject> {
  const network = new MemoryNetwork();
  const config = { place: hostile.driver.place, cid: CID, path: '/path' };
  const actor = await DeviceActor.start(virtioVsock, config, { network });
  const turns = (): void => void actor.turns();
  const { connections } = actor.state;
  const forget = (count: number): void => {
    for (const stream of network.streams.splice(0, count)) stream.events?.closed(undefined);
  };
  return {
    device: actor.state.device,
    queueSizes: [128, 128, 128],
    features: [],
    turns,
    request: (queue, random) =>
      queue === 1
        ? { out: randomPacket(random), inBytes: 0 }
        : { out: NOTHING, inBytes: random.oneIn(20) ? random.below(64) : 4096 },
    happen(random) {
      const stream = network.streams[random.below(Math.max(1, network.streams.length))];
      if (random.oneIn(3)) stream?.events?.opened();
      if (random.oneIn(4)) stream?.events?.data(new Uint8Array(random.below(5000)));
      if (random.oneIn(20)) stream?.events?.ended();
      if (network.streams.length > STREAMS_MAX) forget(1);
      for (const { written } of network.streams) written.length = 0;
    },
    serves() {
      turns(); // the reset ends all connections
      forget(network.streams.length);
      const out = packet({ sourcePort: 77, targetPort: 5, operation: OPERATION.request });
      demand(hostile.exchange(1, { out, inBytes: 0 }, turns) !== undefined, 'nothing is sent');
      const [stream] = network.streams;
      demand(stream?.to.address === '/path_5', 'no socket of the host is connected to');
      stream.events?.opened();
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        const answer = hostile.exchange(0, { out: NOTHING, inBytes: 4096 }, turns);
        if (answer === undefined) continue;
        const view = new DataView(answer.buffer);
        const { operation, targetPort } = PacketHead.offsets;
        if (view.getUint32(targetPort, true) !== 77) continue;
        demand(view.getUint16(operation, true) === OPERATION.response, 'a connection is not answered');
        return;
      }
      throw new Error('a connection is answered by nothing');
    },
    check() {
      demand(connections.counts.sockets <= CONNECTIONS_MAX + 1, `${connections.counts.sockets} sockets`);
    },
    close: () => forget(network.streams.length),
  };
}
