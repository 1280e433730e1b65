import { readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { adviseHugePages } from './huge-pages.js';

const test = spec('huge pages');
const MIB = 1 << 20;

/** Memory of this process for which huge pages were asked, in KiB (proc(5), `hg` of VmFlags). */
function advisedKib(): number {
  const areas = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const advised = areas.filter((area) => /^VmFlags:.*\bhg\b/m.test(area));
  return advised.reduce((sum, area) => sum + Number(/^Size:\s+(\d+) kB/m.exec(area)?.[1] ?? 0), 0);
}

test('large memory gets them where the kernel can be asked, small memory and odd pieces never', () => {
  const memory = new WebAssembly.Memory({ initial: 2048, maximum: 2048, shared: true });
  const before = process.platform === 'linux' ? advisedKib() : 0;
  assert.not(adviseHugePages(new Uint8Array(memory.buffer, 0, 32 * MIB)));
  assert.not(adviseHugePages(new Uint8Array(memory.buffer, 100, 64 * MIB)));
  assert.not(adviseHugePages(new Uint8Array(memory.buffer, 0, 64 * MIB + 1)));
  if (!adviseHugePages(new Uint8Array(memory.buffer, 16 * MIB, 64 * MIB)))
    return void process.stdout.write('the kernel cannot be asked\n');
  assert.is(advisedKib() - before, 64 << 10);
  const bytes = new Uint8Array(memory.buffer);
  bytes[16 * MIB] = 1;
  assert.is(bytes[16 * MIB + 1], 0);
});
test.run();
