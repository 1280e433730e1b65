/**
 * Which packages a set of packages needs (Debian policy 7.1, 7.2, 7.5): each dependency by an alternative that is already
 * chosen, else by the first that can be had, else by a package that provides it. Recommends are not followed.
 */
import { err, ok, type Result } from '../../../bus/result.js';
import { compareVersions, type PackageRecord } from '../package-index.js';

/** One alternative of a dependency: a name, and where given what its version must be. */
interface Alternative {
  readonly name: string;
  readonly relation: string | undefined;
  readonly version: string | undefined;
}

const ALTERNATIVE =
  /^([a-z0-9][a-z0-9+.-]+)(?::[a-z0-9-]+)?(?:\s*\(\s*(<<|<=|=|>=|>>)\s*([^\s)]+)\s*\))?(?:\s*\[[^\]]*\])?$/;

/** A Depends, Pre-Depends or Provides field: terms, each a list of alternatives. What is not sound is left out. */
export function parseRelations(field: string): readonly (readonly Alternative[])[] {
  return field
    .split(',')
    .map((term) =>
      term.split('|').flatMap((text) => {
        const found = ALTERNATIVE.exec(text.trim());
        return found?.[1] === undefined ? [] : [{ name: found[1], relation: found[2], version: found[3] }];
      }),
    )
    .filter((alternatives) => alternatives.length > 0);
}

function holds(version: string, { relation, version: bound }: Alternative): boolean {
  if (relation === undefined || bound === undefined) return true;
  const order = compareVersions(version, bound);
  if (relation === '<<') return order < 0;
  if (relation === '<=') return order <= 0;
  if (relation === '=') return order === 0;
  return relation === '>=' ? order >= 0 : order > 0;
}

/** Packages by name, the newest version of each, and who provides a name that is no package. */
export class PackagePool {
  readonly #byName = new Map<string, PackageRecord>();
  readonly #providers = new Map<string, { readonly record: PackageRecord; readonly version: string | undefined }[]>();

  constructor(records: readonly PackageRecord[]) {
    for (const record of records) {
      const known = this.#byName.get(record.name);
      if (known === undefined || compareVersions(record.version, known.version) > 0)
        this.#byName.set(record.name, record);
    }
    for (const record of this.#byName.values()) {
      if (record.provides === '') continue;
      for (const [provided] of parseRelations(record.provides)) {
        if (provided === undefined) continue;
        const providers = this.#providers.get(provided.name) ?? [];
        providers.push({ record, version: provided.version });
        this.#providers.set(provided.name, providers);
      }
    }
  }

  get(name: string): PackageRecord | undefined {
    return this.#byName.get(name);
  }

  /** Names of the packages that `accept` takes, sorted. */
  names(accept: (record: PackageRecord) => boolean): readonly string[] {
    return [...this.#byName.values()]
      .filter(accept)
      .map((record) => record.name)
      .sort();
  }

  /** Who satisfies `wanted`: the package of that name, or those that provide it (a bound needs a provided version). */
  #candidates(wanted: Alternative): readonly PackageRecord[] {
    const real = this.#byName.get(wanted.name);
    const provided = (this.#providers.get(wanted.name) ?? [])
      .filter(({ version }) => wanted.relation === undefined || (version !== undefined && holds(version, wanted)))
      .map(({ record }) => record)
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    return real !== undefined && holds(real.version, wanted) ? [real, ...provided] : provided;
  }

  /** `roots` and all they need, by name; the error is a sentence that names what cannot be had. */
  close(roots: readonly string[]): Result<ReadonlyMap<string, PackageRecord>, string> {
    const chosen = new Map<string, PackageRecord>();
    for (const name of roots) {
      const record = this.#byName.get(name);
      if (record === undefined) return err(`there is no package "${name}"`);
      chosen.set(name, record);
    }
    const pending = [...chosen.values()];
    for (let record = pending.shift(); record !== undefined; record = pending.shift()) {
      for (const term of parseRelations(`${record.preDepends},${record.depends}`)) {
        const candidates = term.flatMap((alternative) => this.#candidates(alternative));
        if (candidates.some(({ name }) => chosen.has(name))) continue;
        const [first] = candidates;
        if (first === undefined)
          return err(`${record.name} needs ${term.map(({ name }) => name).join(' or ')}, which cannot be had`);
        chosen.set(first.name, first);
        pending.push(first);
      }
    }
    return ok(chosen);
  }
}
