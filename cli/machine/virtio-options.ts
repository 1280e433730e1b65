/** The virtio devices that the options of `wurley run` ask for, in the order of their slots. */
import type { FileFault, FileStore } from '../../actors/runtime/files.js';
import { err, ok, type Result } from '../../bus/result.js';
import type { VirtioChoice } from './virtio-devices.js';

/** The options as text. */
export interface VirtioText {
  readonly console: string;
  readonly rng?: boolean;
}

/** A device that was asked for, before its files are opened. */
export type VirtioRequest = { readonly kind: 'console' } | { readonly kind: 'rng' };

/** Character device that yields random bytes without end. */
export const ENTROPY = '/dev/urandom';

/** Checks the options; the error is a sentence. */
export function parseVirtio(text: VirtioText): Result<readonly VirtioRequest[], string> {
  if (text.console !== 'pl011' && text.console !== 'virtio') {
    return err(`--console takes pl011 or virtio, not "${text.console}"`);
  }
  const requests: VirtioRequest[] = [];
  if (text.console === 'virtio') requests.push({ kind: 'console' });
  if (text.rng === true) requests.push({ kind: 'rng' });
  return ok(requests);
}

/** Opens what the devices use; the error is a sentence. */
export function openVirtio(
  requests: readonly VirtioRequest[],
  files: FileStore,
  size: { readonly columns: number; readonly rows: number },
): Result<readonly VirtioChoice[], string> {
  const choices: VirtioChoice[] = [];
  for (const request of requests) {
    switch (request.kind) {
      case 'console':
        choices.push({ kind: 'console', ...size });
        break;
      case 'rng': {
        const entropy = files.open(ENTROPY, 'read');
        if (!entropy.ok) return err(`--rng: ${cannotOpen(ENTROPY, entropy.error)}`);
        choices.push({ kind: 'rng', entropy: entropy.value });
        break;
      }
    }
  }
  return ok(choices);
}

function cannotOpen(path: string, { detail }: FileFault): string {
  return `${path} cannot be opened (${detail})`;
}
