/**
 * Reads a lab file: YAML to VMs, links and restart policies. Everything in it is checked before anything starts, and what is
 * wrong is one sentence with the file, the line and column, and the field: `lab.yaml:4:13: vms.a.cpus takes ...`.
 */
import { statSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { err, ok, type Result } from '../../bus/result.js';
import { isRamSize, RAM_RANGE } from '../../devices/machine/memory-map.js';
import { CATALOG, findCatalogEntry } from '../image/catalog.js';
import { parseMemory } from '../machine/run-options.js';
import type { LinkSpec, VmSpec } from './lab-host.js';
import { checkShape, type LabText, type LinkText } from './lab-schema.js';

/** When a VM is started again. */
export interface RestartPolicy {
  readonly policy: 'never' | 'on-failure' | 'always';
  /** Restarts within `withinMs`; the next end is final. */
  readonly restartsMax: number;
  readonly withinMs: number;
}

/** A VM of a lab. */
export interface LabVmSpec extends VmSpec {
  readonly restart: RestartPolicy;
}

/** What a lab file says. */
export interface Lab {
  readonly name: string;
  readonly vms: readonly LabVmSpec[];
  readonly links: readonly LinkSpec[];
}

/** A lab file is text for people. */
const FILE_BYTES_MAX = 1 << 20;
const PAGE = 4096;
const SHARED_BYTES_MAX = 64 << 20;
const DEFAULT = {
  memory: 128 * 2 ** 20,
  imageMemory: 512 * 2 ** 20,
  depth: 8,
  messageBytes: 240,
  sharedBytes: 2 ** 20,
  restartsMax: 5,
  withinSeconds: 60,
} as const;

type Path = readonly (string | number)[];
interface Fault {
  readonly path: Path;
  readonly isKey?: boolean;
  readonly text: string;
}

/** Where faults are. */
class Places {
  readonly #file: string;
  readonly #document: Document;
  readonly #lines: LineCounter;

  constructor(file: string, document: Document, lines: LineCounter) {
    this.#file = file;
    this.#document = document;
    this.#lines = lines;
  }

  /** The node at `path`, or its key; where there is none (a field is missing), that of the mapping it is missing from. */
  #offset(path: Path, isKey: boolean): number {
    let node: unknown = this.#document.contents;
    let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
    for (const [depth, part] of path.entries()) {
      const isLast = depth === path.length - 1;
      let next: unknown;
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => (isScalar(key) ? String(key.value) : '') === String(part));
        const key: Node | undefined = isNode(pair?.key) ? pair.key : undefined;
        if (key?.range) offset = key.range[0];
        if (isLast && isKey) return offset;
        next = pair?.value;
      } else if (isSeq(node)) next = node.items[Number(part)];
      if (!isNode(next)) return offset;
      node = next;
      offset = next.range?.[0] ?? offset;
    }
    return offset;
  }

  offsetOf({ path, isKey }: Fault): number {
    return this.#offset(path, isKey === true);
  }

  sentence(fault: Fault): string {
    const { line, col } = this.#lines.linePos(this.offsetOf(fault));
    const field = fault.path.length === 0 ? 'the lab' : fault.path.join('.');
    return `${this.#file}:${line || 1}:${col || 1}: ${field} ${fault.text}`;
  }
}

/** Reads the text of the lab file `file` (an absolute path; relative paths in it are relative to its folder). */
export function readLab(file: string, text: string): Result<Lab, string> {
  const shown = basename(file);
  if (text.length > FILE_BYTES_MAX) return err(`${shown}:1:1: the lab is longer than ${FILE_BYTES_MAX} characters`);
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
    logLevel: 'error',
  });
  const [problem] = document.errors;
  if (problem !== undefined) {
    const { line, col } = lines.linePos(problem.pos[0]);
    return err(`${shown}:${line || 1}:${col || 1}: the lab is not YAML: ${problem.message.replaceAll(/\s+/g, ' ')}`);
  }
  const places = new Places(shown, document, lines);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (thrown) {
    // Aliases of aliases of aliases: a bomb.
    return err(`${shown}:1:1: the lab cannot be read (${thrown instanceof Error ? thrown.message : 'too deep'})`);
  }
  const shape = checkShape(value ?? {});
  const faults = 'faults' in shape ? shape.faults : faultsOf(shape.lab, dirname(file));
  const [first] = [...faults].sort((a, b) => places.offsetOf(a) - places.offsetOf(b));
  if (first !== undefined) return err(places.sentence(first));
  if ('faults' in shape) return err(`${shown}:1:1: the lab is not understood`);
  return ok(build(shape.lab, file));
}

/** Bytes of a size, or undefined. */
const bytesOf = (size: string | number): number | undefined => parseMemory(String(size));

/** What the shape alone does not tell. */
function faultsOf(lab: LabText, folder: string): Fault[] {
  const faults: Fault[] = [];
  const fault = (path: Path, text: string, isKey = false): void => void faults.push({ path, text, isKey });
  const names = new Set(Object.keys(lab.vms));
  let primary: string | undefined;
  const file = (path: Path, name: string): void => {
    const found = statSync(resolve(folder, name), { throwIfNoEntry: false });
    if (found?.isFile() !== true) fault(path, `names ${name}, which ${found ? 'is not a file' : 'is not there'}`);
  };
  for (const [name, vm] of Object.entries(lab.vms)) {
    const at = ['vms', name];
    if ((vm.kernel === undefined) === (vm.image === undefined)) fault(at, 'takes a kernel or an image', true);
    if (vm.kernel !== undefined) file([...at, 'kernel'], vm.kernel);
    if (vm.initrd !== undefined) {
      if (vm.image !== undefined) fault([...at, 'initrd'], 'goes with a kernel; an image has its own', true);
      else file([...at, 'initrd'], vm.initrd);
    }
    if (vm.image !== undefined && findCatalogEntry(vm.image) === undefined) {
      fault([...at, 'image'], `takes ${CATALOG.map((entry) => entry.name).join(', ')}`);
    }
    for (const [n, disk] of (vm.disks ?? []).entries()) file([...at, 'disks', n, 'file'], disk.file);
    const bytes = vm.memory === undefined ? DEFAULT.memory : bytesOf(vm.memory);
    if (bytes === undefined || !isRamSize(bytes)) {
      fault([...at, 'memory'], `takes ${RAM_RANGE} in steps of 2M`);
    }
    if (vm.primary === true) {
      if (vm.platform !== 'gunyah') fault([...at, 'primary'], 'needs platform: gunyah', true);
      if (primary !== undefined) fault([...at, 'primary'], `is already said of ${primary}`, true);
      primary = name;
    }
    if (vm.root === true && vm.primary !== true) fault([...at, 'root'], 'needs primary: true', true);
    if (vm.profile !== undefined && vm.platform !== 'gunyah') fault([...at, 'profile'], 'needs platform: gunyah', true);
  }
  for (const [name, link] of Object.entries(lab.links ?? {})) {
    const at = ['links', name];
    const kinds = [link.queue, link.doorbell, link.memory].filter((kind) => kind !== undefined);
    if (kinds.length !== 1) fault(at, 'takes one of queue, doorbell and memory', true);
    for (const key of ['depth', 'messageBytes'] as const) {
      if (link[key] !== undefined && link.queue === undefined) fault([...at, key], 'goes with a queue', true);
    }
    for (const key of ['size', 'writers'] as const) {
      if (link[key] !== undefined && link.memory === undefined) fault([...at, key], 'goes with memory', true);
    }
    const bytes = link.size === undefined ? DEFAULT.sharedBytes : bytesOf(link.size);
    if (bytes === undefined || bytes > SHARED_BYTES_MAX || bytes % PAGE !== 0 || bytes === 0) {
      fault([...at, 'size'], 'takes 4k to 64M in steps of 4k');
    }
    for (const { path, vm } of endsOf(link)) {
      if (!names.has(vm)) fault([...at, ...path], `names ${vm}, which is no VM of the lab`);
      else if (lab.vms[vm]?.platform !== 'gunyah')
        fault([...at, ...path], `names ${vm}, which is not on the platform gunyah`);
    }
    // A queue may lead from a VM back to itself (ADR 154).
    for (const ends of [link.memory, link.writers]) {
      if (ends !== undefined && new Set(ends).size !== ends.length) fault(at, 'names a VM twice', true);
    }
    if (link.doorbell !== undefined && link.doorbell.from === link.doorbell.to) fault(at, 'names a VM twice', true);
    for (const [n, writer] of (link.writers ?? []).entries()) {
      if (!(link.memory ?? []).includes(writer))
        fault([...at, 'writers', n], `names ${writer}, which is not in memory`);
    }
  }
  return faults;
}

/** The VMs at a link and where they are named. */
function endsOf(link: LinkText): readonly { readonly path: Path; readonly vm: string }[] {
  const list = (key: 'queue' | 'memory') => (link[key] ?? []).map((vm, n) => ({ path: [key, n], vm }));
  const bell = link.doorbell;
  return [
    ...list('queue'),
    ...list('memory'),
    ...(bell === undefined ? [] : (['from', 'to'] as const).map((end) => ({ path: ['doorbell', end], vm: bell[end] }))),
  ];
}

function build(lab: LabText, file: string): Lab {
  const folder = dirname(file);
  const path = (name: string): string => resolve(folder, name);
  const vms = Object.entries(lab.vms).map(([name, vm]): LabVmSpec => {
    const { kernel, initrd, image, restart } = vm;
    const memory = image === undefined ? DEFAULT.memory : DEFAULT.imageMemory;
    const policy = typeof restart === 'object' ? restart : { policy: restart ?? 'never' };
    return {
      name,
      boot:
        kernel === undefined
          ? { image: image ?? '' }
          : { kernel: path(kernel), initrd: initrd === undefined ? undefined : path(initrd) },
      append: vm.append ?? '',
      memoryBytes: vm.memory === undefined ? memory : (bytesOf(vm.memory) ?? memory),
      cpus: vm.cpus ?? 1,
      platform: vm.platform ?? 'virt',
      profile: vm.profile ?? 'P17',
      primary: vm.primary ?? false,
      root: vm.root ?? false,
      console: vm.console ?? 'pl011',
      disks: (vm.disks ?? []).map((disk) => ({
        file: path(disk.file),
        readOnly: disk.readOnly ?? false,
        snapshot: disk.snapshot ?? false,
      })),
      rng: vm.rng ?? false,
      networks: (vm.networks ?? []).map((text) => {
        const [kind, switchName = ''] = text.split(':');
        return { kind: kind === 'switch' ? ('switch' as const) : ('user' as const), switchName };
      }),
      restart: {
        policy: policy.policy,
        restartsMax: ('max' in policy ? policy.max : undefined) ?? DEFAULT.restartsMax,
        withinMs: (('within' in policy ? policy.within : undefined) ?? DEFAULT.withinSeconds) * 1000,
      },
    };
  });
  const links = Object.entries(lab.links ?? {}).map(([name, link]) => linkOf(name, link));
  return { name: lab.name ?? labName(file), vms, links };
}

function linkOf(name: string, link: LinkText): LinkSpec {
  if (link.queue !== undefined) {
    const [a = '', b = ''] = link.queue;
    return {
      ...{ kind: 'queue', name, between: [a, b] },
      depth: link.depth ?? DEFAULT.depth,
      messageBytesMax: link.messageBytes ?? DEFAULT.messageBytes,
    };
  }
  if (link.doorbell !== undefined) return { kind: 'doorbell', name, ...link.doorbell };
  const between = link.memory ?? [];
  const bytes = link.size === undefined ? DEFAULT.sharedBytes : (bytesOf(link.size) ?? DEFAULT.sharedBytes);
  return { kind: 'memory', name, between, bytes, writers: link.writers ?? between };
}

/** A lab's name from that of its file: what a name may not hold becomes `-`. */
function labName(file: string): string {
  const plain = basename(file)
    .replace(/\.ya?ml$/i, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .slice(0, 32);
  return /^[a-z]/.test(plain) ? plain : `lab-${plain}`.slice(0, 32);
}
