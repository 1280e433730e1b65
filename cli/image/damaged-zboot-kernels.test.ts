/** Damaged EFI zboot kernels, through each decompressor, by the thousand. */
import { gzipSync } from 'node:zlib';
import { addDamagedKernelTest } from '../../test/harness/damaged-kernels.js';
import { sampleImage, XZ_SAMPLE, ZSTD_SAMPLE, zboot } from '../../test/harness/kernel-samples.js';
import { spec } from '../../test/harness/spec.js';
import { hostUnpackers } from './unpackers.js';

const test = spec('damaged-zboot-kernels');
const SAMPLES: readonly (readonly [string, Uint8Array])[] = [
  ['zboot gzip', zboot(gzipSync(sampleImage()), 'gzip')],
  ['zboot xz', zboot(Buffer.from(XZ_SAMPLE, 'base64'), 'xzkern')],
  ['zboot zstd', zboot(Buffer.from(ZSTD_SAMPLE, 'base64'), 'zstd22')],
];
for (const [name, sample] of SAMPLES) addDamagedKernelTest(test, name, sample, hostUnpackers);

test.run();
