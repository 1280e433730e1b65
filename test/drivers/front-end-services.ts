/** What a front end is lent where no vCPU is: nothing happens, but for what a test gives. */
import type { FrontEndServices } from '../../actors/shared-state/mmio/front-end.js';

/** `own`, and idle services for the rest. */
export function frontEndServices(own: Partial<FrontEndServices> = {}): FrontEndServices {
  const idle = { setLine: () => undefined, ring: () => undefined, setRights: () => undefined, unixSeconds: () => 0 };
  return { ...idle, isAwake: () => false, cpu: 0, self: () => 0, ...own };
}
