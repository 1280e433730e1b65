/** What a network card looks like to its driver (V1.2, 5.1). */
import { bytes, u8, u16, u32 } from '../../bus/layout/fields.js';
import { struct } from '../../bus/layout/struct.js';
import { VirtioDevice, type VirtioPlace, type VirtioServices } from '../virtio/virtio-device.js';
import { DEVICE } from '../virtio/wire.js';
import { NET_FEATURE } from './net-frames.js';

/** Configuration space (V1.2, 5.1.4). */
export const NetSpace = struct('NetSpace', 20, {
  mac: bytes(0, 6),
  status: u16(6),
  queuePairsMax: u16(8),
  mtu: u16(10),
  speed: u32(12),
  duplex: u8(16),
  rssKeyBytes: u8(17),
  rssTableEntries: u16(18),
});
/** The link's status. */
export const LINK_UP = 1;
const QUEUE_SIZE = 256;

const SHAPE = {
  deviceId: DEVICE.network,
  features: Object.values(NET_FEATURE),
  queueSizes: [QUEUE_SIZE, QUEUE_SIZE],
  configBytes: NetSpace.sizeBytes,
  configWritable: [0, 0],
} as const;

/** The device, for its worker or (`self`, see VirtioDevice) for a vCPU that helps. */
export const makeNetDevice = (place: VirtioPlace, services: VirtioServices, self?: number): VirtioDevice =>
  new VirtioDevice(place, SHAPE, services, self);
