/** From handed-over files to an open disk: the image and, below it, its backing images. */
import type { FileHandle, FileToken } from '../../actors/runtime/files.js';
import { err, ok, type Result } from '../../bus/result.js';
import type { DiskImage, ImageFault } from './disk-image.js';
import { Qcow2Image } from './qcow2/qcow2-image.js';
import { RawImage } from './raw-image.js';

/** One file of a disk. */
export interface DiskLayer {
  readonly file: FileToken;
  readonly format: 'raw' | 'qcow2';
  /** Nobody said that it is raw: it only does not look like anything else. */
  readonly isGuessed: boolean;
}

/** Opens `layers`, the guest's own first; each is the backing image of the one before. `recounts` as in Qcow2Image.open. */
export function openLayers(
  layers: readonly DiskLayer[],
  use: (token: FileToken) => FileHandle,
  recounts: boolean,
): Result<DiskImage, { readonly label: string; readonly fault: ImageFault }> {
  let below: DiskImage | undefined;
  for (const [index, { file, format, isGuessed }] of [...layers.entries()].reverse()) {
    const handle = use(file);
    const opened =
      format === 'raw' ? RawImage.open(handle, isGuessed) : Qcow2Image.open(handle, below, recounts && index === 0);
    if (!opened.ok) return err({ label: file.label, fault: opened.error });
    below = opened.value;
  }
  return below === undefined
    ? err({ label: 'disk', fault: { reason: 'failed', detail: 'no file was handed over' } })
    : ok(below);
}
