/** What the drivers answer with when something is refused, and what they make of the resource manager's errors (gunyah.md 5.2). */

import { GUNYAH_ERROR } from '../abi/gunyah/errors.js';
import type { Profile } from '../abi/gunyah/identity.js';
import { RM_ERROR } from '../resource-manager/rm-messages.js';

/** Linux's numbers (asm-generic/errno). */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENOTTY: 25,
  EBADMSG: 74,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
} as const;
/** A name in {@link ERRNO}. */
export type Errno = keyof typeof ERRNO;

const E = RM_ERROR;
/** Errors the table of v17 knows; the rest of its range is EINVAL. */
const OF_ERROR: ReadonlyMap<number, Errno> = new Map([
  [E.UNIMPLEMENTED, 'EOPNOTSUPP'],
  [E.NOMEM, 'ENOMEM'],
  [E.NORESOURCE, 'ENODEV'],
  [E.DENIED, 'EPERM'],
  [E.BUSY, 'EBUSY'],
]);

/** What a refused request becomes: v6 passes positive errors on, and its ioctls make EINVAL of them. */
export function errnoOf(error: number, generation: Profile): Errno {
  if (generation === 'P6') return 'EINVAL';
  return OF_ERROR.get(error) ?? (error > E.IRQ_RELEASED ? 'EBADMSG' : 'EINVAL');
}

const H = GUNYAH_ERROR;
const OF_CALL: ReadonlyMap<number, Errno> = new Map([
  [H.unimplemented, 'EOPNOTSUPP'],
  [H.retry, 'EAGAIN'],
  [H.noMemory, 'ENOMEM'],
  [H.denied, 'EACCES'],
  [H.capNull, 'EACCES'],
  [H.capRevoked, 'EACCES'],
  [H.wrongObjectType, 'EACCES'],
  [H.insufficientRights, 'EACCES'],
  [H.busy, 'EBUSY'],
  [H.idle, 'EBUSY'],
  [H.cspaceFull, 'EBUSY'],
]);
/** What a refused hypercall becomes (gunyah.md 1.5). */
export function errnoOfCall(error: number): Errno {
  return OF_CALL.get(error) ?? 'EINVAL';
}
