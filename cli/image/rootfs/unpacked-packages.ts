/**
 * Packages as dpkg leaves them when it has unpacked them: their files, with the new configuration files under names that end in
 * `.dpkg-new`, and dpkg's own records of them (status, info/, triggers/). dpkg then configures them as it does any package; the
 * emulated processor is spared the unpacking. The packages were verified; their bytes are hostile all the same.
 */
import { createHash } from 'node:crypto';
import { ok, type Result } from '../../../bus/result.js';
import { type BootFault, refuse } from '../../../devices/machine/boot-fault.js';
import { readAr } from '../ar.js';
import { hostUnpackers } from '../unpackers.js';
import { readTar, renamed, type TarMember, tarFile } from './tar-stream.js';

const MIB = 1024 * 1024;
const CONTROL_BYTES_MAX = 64 * MIB;
const DATA_BYTES_MAX = 1024 * MIB;
const DATABASE = 'var/lib/dpkg';
/** Maintainer scripts are run; all other control files are read. */
const SCRIPTS = new Set(['preinst', 'postinst', 'prerm', 'postrm', 'config']);
const CONTROL_NAME = /^[a-z][a-z0-9.-]{0,40}$/;

async function unpackMember(
  file: string,
  { name, bytes }: { readonly name: string; readonly bytes: Uint8Array },
  limit: number,
): Promise<Result<readonly TarMember[], BootFault>> {
  const unpackers = { '.xz': hostUnpackers.xz, '.gz': hostUnpackers.gzip, '.zst': hostUnpackers.zstd } as const;
  const suffix = name.slice(name.indexOf('.tar') + '.tar'.length);
  const [, unpacker] = Object.entries(unpackers).find(([known]) => known === suffix) ?? [];
  if (unpacker === undefined && suffix !== '') return refuse(file, name, 'is compressed in a way not known here');
  const plain = unpacker === undefined ? ok(bytes) : await unpacker(bytes, limit);
  if (!plain.ok) return refuse(file, name, plain.error);
  const members = readTar(plain.value);
  return members.ok ? members : refuse(file, name, members.error);
}

/** Says who is interested in a trigger, in the words of dpkg's files. */
interface Interest {
  readonly trigger: string;
  /** The package, with `/noawait` where it need not be waited for. */
  readonly who: string;
}

function sumsOf(members: readonly TarMember[]): string {
  const lines = members
    .filter(({ type }) => type === '0')
    .map(({ path, content }) => `${createHash('md5').update(content).digest('hex')}  ${path}\n`);
  return lines.join('');
}

/** Gathers packages; what they become is taken from it in parts. */
export class UnpackedPackages {
  readonly #status: string[] = [];
  readonly #interests: Interest[] = [];
  readonly #activated = new Set<string>();
  readonly #paths = new Set<string>();
  /** Packages with a preinst script, by the name of their control files. */
  readonly preinsts: { readonly info: string; readonly name: string }[] = [];

  /** Takes package `file`; answers its part of a tar archive. */
  async add(file: string, bytes: Uint8Array): Promise<Result<readonly Uint8Array[], BootFault>> {
    const archive = readAr(file, bytes);
    if (!archive.ok) return archive;
    const find = (start: string): { name: string; bytes: Uint8Array } | undefined =>
      archive.value.find(({ name }) => name.startsWith(start));
    const [control, data] = [find('control.tar'), find('data.tar')];
    if (control === undefined || data === undefined) return refuse(file, 'control.tar or data.tar', 'is missing');
    const controlFiles = await unpackMember(file, control, CONTROL_BYTES_MAX);
    if (!controlFiles.ok) return controlFiles;
    const members = await unpackMember(file, data, DATA_BYTES_MAX);
    if (!members.ok) return members;
    return this.#record(file, controlFiles.value, members.value);
  }

  #record(
    file: string,
    control: readonly TarMember[],
    members: readonly TarMember[],
  ): Result<readonly Uint8Array[], BootFault> {
    const textOf = (path: string): string | undefined => {
      const member = control.find((candidate) => candidate.path === path);
      return member === undefined ? undefined : Buffer.from(member.content).toString('latin1');
    };
    const stanza = textOf('control')?.trimEnd();
    const name = /^Package: ([a-z0-9][a-z0-9+.-]+)$/m.exec(stanza ?? '')?.[1];
    if (stanza === undefined || name === undefined) return refuse(file, 'control', 'names no package');
    if (name !== file || stanza.includes('\n\n')) return refuse(file, 'control', 'is of another package');
    const info = /^Multi-Arch: same$/m.test(stanza) ? `${name}:arm64` : name;
    const conffiles = (textOf('conffiles') ?? '').split('\n').filter((line) => /^\/\S+$/.test(line));
    const parts: Uint8Array[] = [];
    const wanted = new Set(conffiles.map((path) => path.slice(1)));
    const list: string[] = [];
    for (const member of members) {
      list.push(member.path === '' ? '/.' : `/${member.path}`);
      this.#paths.add(`/${member.path}`);
      const isConffile = wanted.has(member.path) && (member.type === '0' || member.type === '\0');
      parts.push(...(isConffile ? renamed(member, `${member.path}.dpkg-new`) : [member.bytes]));
    }
    const infoFile = (kind: string): string => `${DATABASE}/info/${info}.${kind}`;
    parts.push(...tarFile(infoFile('list'), Buffer.from(`${list.join('\n')}\n`, 'latin1')));
    for (const { path, type, content } of control) {
      if (type !== '0' || path === 'control' || !CONTROL_NAME.test(path)) continue;
      parts.push(...tarFile(infoFile(path), content, SCRIPTS.has(path) ? 0o755 : 0o644));
      if (path === 'preinst') this.preinsts.push({ info, name });
    }
    // dpkg makes this list itself for a package that brings none.
    if (textOf('md5sums') === undefined) parts.push(...tarFile(infoFile('md5sums'), Buffer.from(sumsOf(members))));
    const known =
      conffiles.length === 0 ? '' : `\nConffiles:\n${conffiles.map((path) => ` ${path} newconffile`).join('\n')}`;
    this.#status.push(stanza.replace(/^(Package: .*)$/m, '$1\nStatus: install ok unpacked') + known);
    this.#addTriggers(info, textOf('triggers') ?? '');
    return ok(parts);
  }

  /** deb-triggers(5). */
  #addTriggers(info: string, text: string): void {
    for (const line of text.split('\n')) {
      const found = /^(interest|activate)(?:-(await|noawait))?\s+([!-~]+)$/.exec(line.trim());
      if (found?.[3] === undefined) continue;
      const [, directive, wait, trigger] = found;
      if (directive === 'activate') this.#activated.add(trigger);
      else this.#interests.push({ trigger, who: wait === 'noawait' ? `${info}/noawait` : info });
    }
  }

  /** Triggers that unpacking would have set off: named by a package, or a folder that files were put into. */
  firedTriggers(): readonly string[] {
    const paths = [...this.#paths];
    const fired = this.#interests
      .map(({ trigger }) => trigger)
      .filter((trigger) =>
        trigger.startsWith('/')
          ? paths.some((path) => path === trigger || path.startsWith(`${trigger}/`))
          : this.#activated.has(trigger),
      );
    return [...new Set(fired)].sort();
  }

  /** dpkg's records of all packages, as the end of the archive. */
  records(): readonly Uint8Array[] {
    const text = (path: string, content: string): readonly Uint8Array[] =>
      tarFile(`${DATABASE}/${path}`, Buffer.from(content, 'latin1'));
    const named = new Map<string, string[]>();
    const files: string[] = [];
    for (const { trigger, who } of this.#interests) {
      if (trigger.startsWith('/')) files.push(`${trigger} ${who}\n`);
      else if (/^[A-Za-z0-9][A-Za-z0-9_.+-]*$/.test(trigger)) named.set(trigger, [...(named.get(trigger) ?? []), who]);
    }
    return [
      ...text('status', `${this.#status.join('\n\n')}\n\n`),
      ...text('available', ''),
      ...text('info/format', '1\n'),
      ...text('triggers/File', files.join('')),
      ...text('triggers/Unincorp', ''),
      ...[...named].flatMap(([trigger, who]) => text(`triggers/${trigger}`, `${who.join('\n')}\n`)),
    ];
  }
}
