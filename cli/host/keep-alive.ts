/** Keeps the event loop alive while something waits in Atomics.waitAsync. */
import type { KeepAlive } from '../../bus/doorbell/parking.js';

/** One waiter's hold on the event loop. */
export function keepAlive(): KeepAlive {
  let timer: NodeJS.Timeout | undefined;
  return {
    hold() {
      timer ??= setInterval(() => undefined, 0x3fff_ffff);
    },
    release() {
      clearInterval(timer);
      timer = undefined;
    },
  };
}
