/** What a virtio balloon and its driver say to each other (V1.2, 5.5). */
import { u32 } from '../../bus/layout/fields.js';
import { struct } from '../../bus/layout/struct.js';

/** Unit of everything the balloon counts, whatever the guest's pages are. */
export const BALLOON_PAGE_BYTES = 4096;

/** Feature bits (V1.2, 5.5.3). */
export const BALLOON_FEATURE = { mustTellHost: 0, statistics: 1, deflateOnOom: 2 } as const;

/** Queues (V1.2, 5.5.2). Each entry of the first two is a u32 page number. */
export const BALLOON_QUEUE = { inflate: 0, deflate: 1, statistics: 2 } as const;

/** Configuration space (V1.2, 5.5.4), in pages. */
export const BalloonSpace = struct('BalloonSpace', 8, {
  /** What the driver is asked to give up. */
  target: u32(0),
  /** What it says it has given up; it writes this. */
  actual: u32(4),
});

/** An entry of the statistics queue: tag (u16) and value (u64), packed (V1.2, 5.5.6.3). */
export const STATISTIC_BYTES = 10;

/** Names by tag (V1.2, 5.5.6.4); sizes are in bytes. */
export const STATISTICS = [
  'swappedIn',
  'swappedOut',
  'majorFaults',
  'minorFaults',
  'freeBytes',
  'totalBytes',
  'availableBytes',
  'cacheBytes',
  'hugePageAllocations',
  'hugePageFailures',
] as const;
/** What the guest says of its memory. */
export type BalloonStatistics = { readonly [name in (typeof STATISTICS)[number]]?: number };
