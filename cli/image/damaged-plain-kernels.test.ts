/** Damaged kernels as they are, or gzipped, by the thousand. */
import { gzipSync } from 'node:zlib';
import { addDamagedKernelTest } from '../../test/harness/damaged-kernels.js';
import { SAMPLE_ELF, sampleImage } from '../../test/harness/kernel-samples.js';
import { spec } from '../../test/harness/spec.js';
import { hostUnpackers } from './unpackers.js';

const test = spec('damaged-plain-kernels');
const SAMPLES: readonly (readonly [string, Uint8Array])[] = [
  ['Image', sampleImage()],
  ['ELF', SAMPLE_ELF],
  ['gzip', gzipSync(sampleImage())],
];
for (const [name, sample] of SAMPLES) addDamagedKernelTest(test, name, sample, hostUnpackers);

test.run();
