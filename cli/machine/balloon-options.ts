/** `--balloon`: a memory balloon, and how much it holds from the start. */
import { err, ok, type Result } from '../../bus/result.js';
import { parseMemory } from './run-options.js';

/** A balloon as the command line asks for it. */
export interface BalloonRequest {
  readonly targetBytes: number;
  readonly deflateOnOom: boolean;
}

/** What a guest keeps in any case. */
export const KEPT_BYTES_MIN = 32 << 20;
const OOM_WORD = 'deflate-on-oom';

/**
 * `SIZE[,deflate-on-oom]`, for a machine with `memory` (as --memory has it) if that is known. Undefined: no balloon. The error is a
 * sentence.
 */
export function parseBalloon(
  text: string | undefined,
  memory: string | undefined,
): Result<BalloonRequest | undefined, string> {
  if (text === undefined) return ok(undefined);
  const [size = '', ...words] = text.split(',');
  const targetBytes = parseMemory(size);
  if (targetBytes === undefined || words.some((word) => word !== OOM_WORD)) {
    return err(`--balloon takes SIZE[,${OOM_WORD}], such as 0 or 128M, not "${text}"`);
  }
  const ramBytes = memory === undefined ? undefined : parseMemory(memory);
  if (ramBytes !== undefined && targetBytes > ramBytes - KEPT_BYTES_MIN) {
    return err(`--balloon ${text}: of --memory ${memory} the guest keeps 32M at least`);
  }
  return ok({ targetBytes, deflateOnOom: words.length > 0 });
}
