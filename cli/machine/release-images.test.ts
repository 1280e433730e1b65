import * as assert from 'uvu/assert';
import type { BootPlan } from '../../devices/machine/boot-plan.js';
import { spec } from '../../test/harness/spec.js';
import { releaseImages } from './release-images.js';

const test = spec('release images');

function planOf(...images: readonly Uint8Array[]): BootPlan {
  const placements = images.map((bytes, n) => ({
    ...{ what: 'kernel', ipa: 0x4000_0000 + n * 0x100_0000, bytes, reservedBytes: bytes.byteLength },
  }));
  return { placements, entry: 0, registers: [0n, 0n, 0n, 0n], deviceTree: new Uint8Array(), format: 'arm64-image' };
}

test('large images are gone, small ones and parts of something larger stay', () => {
  const large = new Uint8Array(2 << 20);
  const small = new Uint8Array(4096);
  const part = new Uint8Array(4 << 20).subarray(1 << 20);
  releaseImages(planOf(large, small, part));
  assert.equal([large.byteLength, small.byteLength, part.byteLength], [0, 4096, 3 << 20]);
});

test('what firmware will hand on stays', () => {
  const large = new Uint8Array(2 << 20);
  releaseImages({ ...planOf(large), firmwareItems: [] });
  assert.is(large.byteLength, 2 << 20);
});

test.run();
