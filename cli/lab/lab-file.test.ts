/** Lab files: what is read, and the place and sentence of everything that is wrong. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { readLab } from './lab-file.js';
import { labJsonSchema } from './lab-schema.js';

const test = spec('lab file');
const folder = mkdtempSync(join(tmpdir(), 'wurley-lab-file-'));
writeFileSync(join(folder, 'guest.elf'), 'x');
writeFileSync(join(folder, 'disk.img'), 'x');

const read = (text: string, name = 'My Lab.yaml') => readLab(join(folder, name), text);
function refused(text: string): string {
  const lab = read(text, 'lab.yaml');
  return lab.ok ? 'accepted' : lab.error;
}

test('a whole lab, with what is left out filled in', () => {
  const lab = read(`
vms:
  a:
    kernel: guest.elf
    platform: gunyah
    primary: true
    memory: 64M
    restart: { policy: on-failure, max: 2, within: 30 }
    disks: [{ file: disk.img, readOnly: true }]
    networks: [user, switch:lan]
  b: { kernel: guest.elf, platform: gunyah, profile: P6, restart: always, memory: 256 }
  c: { image: 'debian:6.1-cloud', cpus: 2 }
links:
  chat: { queue: [a, b], depth: 4, messageBytes: 16 }
  bell: { doorbell: { from: a, to: b } }
  pool: { memory: [a, b], size: 64k, writers: [a] }
  self: { queue: [b, b] }
`);
  assert.ok(lab.ok, lab.ok ? '' : lab.error);
  if (!lab.ok) return;
  const { name, vms, links } = lab.value;
  assert.is(name, 'my-lab');
  const [a, b, c] = vms;
  assert.equal(a?.boot, { kernel: join(folder, 'guest.elf'), initrd: undefined });
  assert.equal([a?.memoryBytes, b?.memoryBytes, c?.memoryBytes], [64 << 20, 256 << 20, 512 << 20]);
  assert.equal(a?.restart, { policy: 'on-failure', restartsMax: 2, withinMs: 30_000 });
  assert.equal(b?.restart, { policy: 'always', restartsMax: 5, withinMs: 60_000 });
  assert.equal([a?.profile, b?.profile, c?.platform, c?.cpus, c?.primary], ['P17', 'P6', 'virt', 2, false]);
  assert.equal(a?.disks, [{ file: join(folder, 'disk.img'), readOnly: true, snapshot: false }]);
  assert.equal(a?.networks, [
    { kind: 'user', switchName: '' },
    { kind: 'switch', switchName: 'lan' },
  ]);
  assert.equal(links, [
    { kind: 'queue', name: 'chat', between: ['a', 'b'], depth: 4, messageBytesMax: 16 },
    { kind: 'doorbell', name: 'bell', from: 'a', to: 'b' },
    { kind: 'memory', name: 'pool', between: ['a', 'b'], bytes: 65_536, writers: ['a'] },
    { kind: 'queue', name: 'self', between: ['b', 'b'], depth: 8, messageBytesMax: 240 },
  ]);
});

/** What is wrong with a lab, and the sentence. */
const FAULTS: readonly (readonly [string, string])[] = [
  ['', 'lab.yaml:1:1: vms is missing'],
  ['- a', 'lab.yaml:1:1: the lab takes a mapping'],
  ['vms: {}', 'lab.yaml:1:6: vms names no VM'],
  ['vms:\n  a: [1]', 'lab.yaml:2:6: vms.a takes a mapping'],
  ['vms:\n  a:\n    kernel: guest.elf\n    cpus: 9', 'lab.yaml:4:11: vms.a.cpus takes a number of 8 or fewer'],
  ['vms:\n  a:\n    kernel: guest.elf\n    cpus: two', 'lab.yaml:4:11: vms.a.cpus takes a number'],
  ['vms:\n  a:\n    kernel: guest.elf\n    cpus: 1.5', 'lab.yaml:4:11: vms.a.cpus takes a whole number'],
  ['vms:\n  a:\n    kernel: guest.elf\n    colour: red', 'lab.yaml:4:5: vms.a.colour is not known'],
  ['vms:\n  a: {}', 'lab.yaml:2:3: vms.a takes a kernel or an image'],
  ['vms:\n  a:\n    kernel: gone.elf', 'lab.yaml:3:13: vms.a.kernel names gone.elf, which is not there'],
  ['vms:\n  a:\n    kernel: .', 'lab.yaml:3:13: vms.a.kernel names ., which is not a file'],
  ['vms:\n  a:\n    image: windows', 'lab.yaml:3:12: vms.a.image takes debian:'],
  ['vms:\n  a:\n    kernel: guest.elf\n    memory: lots', 'lab.yaml:4:13: vms.a.memory takes a size such as 64M'],
  ['vms:\n  a:\n    kernel: guest.elf\n    memory: 5M', 'lab.yaml:4:13: vms.a.memory takes 4M to 3G in steps of 2M'],
  ['vms:\n  a:\n    kernel: guest.elf\n    platform: hyperv', 'lab.yaml:4:15: vms.a.platform takes virt, gunyah'],
  ['vms:\n  a:\n    kernel: guest.elf\n    primary: true', 'lab.yaml:4:5: vms.a.primary needs platform: gunyah'],
  ['vms:\n  a:\n    kernel: guest.elf\n    restart: maybe', 'lab.yaml:4:14: vms.a.restart takes never, on-failure'],
  [
    'vms:\n  a:\n    kernel: guest.elf\n    networks: [lan]',
    'lab.yaml:4:16: vms.a.networks.0 takes user or switch:NAME',
  ],
  [
    'vms:\n  a:\n    kernel: guest.elf\n    disks:\n    - file: gone.img',
    'lab.yaml:5:13: vms.a.disks.0.file names gone',
  ],
  ['vms:\n  A:\n    kernel: guest.elf', 'lab.yaml:2:3: vms.A takes a name of lower-case letters'],
  [
    'vms:\n  a: {kernel: guest.elf}\n  a: {kernel: guest.elf}',
    'lab.yaml:3:3: the lab is not YAML: Map keys must be unique',
  ],
  ['vms:\n  a: {kernel: guest.elf', 'lab.yaml:2:'],
  ['vms:\n\ta: 1', 'lab.yaml:2:'],
  ['vms: { a: &x { kernel: guest.elf, *x : 1 } }', 'lab.yaml:1:'],
  [
    'vms:\n  a: {kernel: guest.elf}\nlinks:\n  q: {queue: [a, b]}',
    'lab.yaml:4:15: links.q.queue.0 names a, which is not on the platform gunyah',
  ],
  [
    'vms:\n  a: {kernel: guest.elf, platform: gunyah}\nlinks:\n  q: {queue: [a, b]}',
    'lab.yaml:4:18: links.q.queue.1 names b, which is no VM of the lab',
  ],
  [
    'vms:\n  a: {kernel: guest.elf, platform: gunyah}\nlinks:\n  q: {doorbell: {from: a, to: a}}',
    'lab.yaml:4:3: links.q names a VM twice',
  ],
  ['vms:\n  a: {kernel: guest.elf}\nlinks:\n  q: {queue: [a]}', 'lab.yaml:4:14: links.q.queue takes 2 or more entries'],
  ['vms:\n  a: {kernel: guest.elf}\nlinks:\n  q: {}', 'lab.yaml:4:3: links.q takes one of queue, doorbell and memory'],
  [
    'vms:\n  a: {kernel: guest.elf, platform: gunyah}\n  b: {kernel: guest.elf, platform: gunyah}\nlinks:\n  m: {memory: [a, b], size: 5}\n  n: {memory: [a, b], size: 100M}',
    'lab.yaml:6:29: links.n.size takes 4k to 64M in steps of 4k',
  ],
  [
    'vms:\n  a: {kernel: guest.elf, platform: gunyah, primary: true}\n  b: {kernel: guest.elf, platform: gunyah, primary: true}',
    'lab.yaml:3:44: vms.b.primary is already said of a',
  ],
];
for (const [text, expected] of FAULTS) {
  test(expected, () => {
    const sentence = refused(text);
    assert.ok(sentence.startsWith(expected), sentence);
    assert.not.match(sentence, /\n/);
  });
}

test('aliases that multiply are refused, not expanded', () => {
  const rows = Array.from({ length: 30 }, (_, n) => `a${n + 1}: &a${n + 1} [${Array(9).fill(`*a${n}`).join(',')}]`);
  assert.match(refused(`a0: &a0 x\n${rows.join('\n')}\nvms: {}`), /^lab\.yaml:1:1: the lab cannot be read/);
});

test('the JSON Schema has every field with what it takes', () => {
  const text = JSON.stringify(labJsonSchema());
  for (const field of ['vms', 'links', 'kernel', 'restart', 'on-failure', 'doorbell', 'messageBytes', 'writers']) {
    assert.ok(text.includes(`"${field}"`), field);
  }
  assert.match(text, /"\$schema":"https:\/\/json-schema\.org\/draft\/2020-12\/schema"/);
  assert.match(text, /"additionalProperties":false/);
});
test('the documents show the example that runs', () => {
  const root = join(import.meta.dirname, '..', '..', '..');
  const file = join(root, 'cli', 'lab', 'examples', 'three-vms.yaml');
  const example = readLab(file, readFileSync(file, 'utf8'));
  assert.ok(example.ok, example.ok ? '' : example.error);
  for (const name of ['README.md', 'docs/labs.md']) {
    const [, shown] = /```yaml\n(.*?)```/s.exec(readFileSync(join(root, name), 'utf8')) ?? [];
    assert.equal(readLab(file, shown ?? ''), example);
  }
});
process.on('exit', () => rmSync(folder, { recursive: true }));
test.run();
