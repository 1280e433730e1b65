/** What the results of fast-path arithmetic are compared with. */
import type { Val } from '../../wasm/body.js';

/**
 * `plain`: bits of a magnitude, less those of the number above the smallest normal one, are below it for what is normal and finite; `infinity`: its bits.
 */
export const FAST_BOUNDS = {
  f64: { plain: 0x7fe0_0000_0000_0000n - 1n, infinity: 0x7ff0_0000_0000_0000n },
  f32: { plain: 0x7f00_0000 - 1, infinity: 0x7f80_0000 },
} as const;

/** The same as values (`plain` an integer, `infinity` a number) while STATE.fpFast holds, else 0: one comparison then says that a result stands. */
export interface FastBounds {
  readonly f64: { readonly plain: Val; readonly infinity: Val };
  readonly f32: { readonly plain: Val; readonly infinity: Val };
}
