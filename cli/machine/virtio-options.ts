/** The virtio devices that the options of `wurley run` ask for, in the order of their slots. */
import { closeSync, openSync } from 'node:fs';
import type { FileFault, FileStore } from '../../actors/runtime/files.js';
import { err, ok, type Result } from '../../bus/result.js';
import { codeInWords, hostCode } from '../host-reasons.js';
import { type BalloonRequest, parseBalloon } from './balloon-options.js';
import { type DiskRequest, openDisk, parseDisk } from './disk-files.js';
import { type NetworkRequest, type NetworkText, openCapture, parseNetwork } from './network-options.js';
import { openShare, parseShares, type ShareRequest } from './share-options.js';
import type { VirtioChoice } from './virtio-devices.js';
import { parseVsock, type VsockRequest } from './vsock-options.js';

/** The options as text. */
export interface VirtioText extends NetworkText {
  readonly console: string;
  readonly rng?: boolean;
  readonly disk?: readonly string[];
  readonly snapshotDisk?: boolean;
  readonly share?: readonly string[];
  readonly vsock?: string;
  readonly balloon?: string;
  readonly memory?: string;
}

/** A device that was asked for, before its files are opened. */
export type VirtioRequest =
  | { readonly kind: 'console' }
  | { readonly kind: 'rng' }
  | { readonly kind: 'disk'; readonly disk: DiskRequest; readonly isThrowAway: boolean }
  | { readonly kind: 'net'; readonly network: NetworkRequest }
  | { readonly kind: 'share'; readonly share: ShareRequest }
  | { readonly kind: 'vsock'; readonly vsock: VsockRequest }
  | { readonly kind: 'balloon'; readonly balloon: BalloonRequest };

/** Disks of one machine, at most. */
const DISKS_MAX = 16;

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
  const disks = text.disk ?? [];
  if (disks.length > DISKS_MAX)
    return err(`--disk was given ${disks.length} times; a machine has ${DISKS_MAX} at most`);
  if (text.snapshotDisk === true && disks.length === 0) return err('--snapshot-disk needs a --disk');
  for (const disk of disks) {
    const parsed = parseDisk(disk);
    if (!parsed.ok) return parsed;
    const isThrowAway = text.snapshotDisk === true && !parsed.value.isReadOnly;
    requests.push({ kind: 'disk', disk: parsed.value, isThrowAway });
  }
  const network = parseNetwork(text);
  if (!network.ok) return network;
  if (network.value !== undefined) requests.push({ kind: 'net', network: network.value });
  const shares = parseShares(text.share ?? []);
  if (!shares.ok) return shares;
  for (const share of shares.value) requests.push({ kind: 'share', share });
  const vsock = parseVsock(text.vsock);
  if (!vsock.ok) return vsock;
  if (vsock.value !== undefined) requests.push({ kind: 'vsock', vsock: vsock.value });
  const balloon = parseBalloon(text.balloon, text.memory);
  if (!balloon.ok) return balloon;
  if (balloon.value !== undefined) requests.push({ kind: 'balloon', balloon: balloon.value });
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
      case 'disk': {
        const layers = openDisk(request.disk, files, request.isThrowAway);
        if (!layers.ok) return layers;
        choices.push({ kind: 'disk', layers: layers.value, isReadOnly: request.disk.isReadOnly });
        break;
      }
      case 'net': {
        const { capturePath, ...card } = request.network;
        const capture = openCapture(capturePath, files, createFile);
        if (!capture.ok) return capture;
        choices.push({ kind: 'net', network: { ...card, capture: capture.value } });
        break;
      }
      case 'vsock':
        choices.push({ kind: 'vsock', ...request.vsock });
        break;
      case 'balloon':
        choices.push({ kind: 'balloon', ...request.balloon });
        break;
      case 'share': {
        const folder = openShare(request.share, files);
        if (!folder.ok) return folder;
        choices.push({ kind: 'share', folder: folder.value, tag: request.share.tag });
        break;
      }
    }
  }
  return ok(choices);
}

function cannotOpen(path: string, { detail }: FileFault): string {
  return `${path} cannot be opened: ${codeInWords(detail)}`;
}

/** Makes an empty file at `path`; answers the host's error name when it cannot. */
function createFile(path: string): string | undefined {
  try {
    closeSync(openSync(path, 'w', 0o600));
    return undefined;
  } catch (problem) {
    return hostCode(problem);
  }
}
