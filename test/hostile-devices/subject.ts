/** A device under hostile input: the real actor, what a driver would send it, and how one sees that it still works. */

import type { Random } from '../../actors/runtime/random.js';
import type { VirtioDevice } from '../../devices/virtio/virtio-device.js';
import type { HostileDriver, Request } from '../drivers/hostile-driver.js';

/** See the head of this file. */
export interface Subject {
  readonly device: VirtioDevice;
  /** Largest size of each queue, and the features it offers beside the transport's. */
  readonly queueSizes: readonly number[];
  readonly features: readonly number[];
  /** Turns of its actor until it asks for no more; throws when it never does. */
  turns(): void;
  /** What a driver might send on queue `queue`; many of these make sense, some do not. */
  request(queue: number, random: Random): Request;
  /** Something comes from the host's side, or is taken there. */
  happen(random: Random): void;
  /** Throws unless the device, just reset by `driver.behave()`, serves a driver that does everything right. */
  serves(driver: HostileDriver): void;
  /** Throws when the device keeps more than it may. */
  check(): void;
  close(): void;
}

/** Nothing to read. */
export const NOTHING = new Uint8Array(0);

/** Random bytes. */
export function noise(random: Random, bytes: number): Uint8Array {
  const made = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) made[i] = random.u32();
  return made;
}

/** Throws `sentence` unless `holds`. */
export function demand(holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new Error(sentence);
}
