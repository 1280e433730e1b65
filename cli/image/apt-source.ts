/**
 * Packages through the host's apt with a state folder of its own: no root, a foreign architecture, the host's own lists
 * and packages untouched. apt checks the signatures against Debian's keyring; checksums are checked again here.
 */
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ok, type Result } from '../../bus/result.js';
import { type BootFault, refuse } from '../../devices/machine/boot-fault.js';
import type { Suite } from './catalog.js';
import { type PackageRecord, parseIndex } from './package-index.js';
import { mirrorOf, type PackageSource, type Report, sha256OfFile } from './package-source.js';
import { runProgram } from './run-program.js';

/** Debian's archive keys, as packaged by debian-archive-keyring. */
export const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Text of all package stanzas of a suite, at most. */
const INDEX_BYTES_MAX = 256 * 1024 * 1024;

/** Whether this host has an apt that can be used. */
export async function hasApt(): Promise<boolean> {
  const runs = await Promise.all(['apt-get', 'apt-cache'].map((program) => runProgram(program, ['--version'])));
  return runs.every((run) => run.code === 0);
}

/** The last thing apt complained about, in one line. */
function complaint(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => /^[EW]: /.test(line));
  const line = lines.find((candidate) => candidate.startsWith('E: ')) ?? lines.at(-1) ?? 'apt gave no reason';
  return line.slice(3).replaceAll(/\s+/g, ' ').replace(/\.$/, '').slice(0, 300);
}

/** apt over the state in `folder`. `env` may name another mirror. */
export function aptSource(folder: string, env: NodeJS.ProcessEnv): PackageSource {
  const path = (...parts: string[]): string => join(folder, ...parts);
  const options = [
    ...['APT::Architecture=arm64', 'APT::Architectures=arm64', 'Acquire::Languages=none'],
    `Dir::State=${folder}`,
    `Dir::State::lists=${path('lists')}`,
    `Dir::State::status=${path('status')}`,
    `Dir::Cache=${path('cache')}`,
    `Dir::Etc::sourcelist=${path('sources.list')}`,
    ...['Dir::Etc::sourceparts=/dev/null', 'Dir::Etc::preferences=/dev/null', 'Dir::Etc::preferencesparts=/dev/null'],
    // As root, apt would drop to a user that cannot reach this folder; there is nothing to protect from in it.
    'APT::Sandbox::User=root',
    'Acquire::Retries=2',
  ].flatMap((option) => ['-o', option]);

  async function writeSources(suites: readonly Suite[]): Promise<void> {
    for (const part of ['lists/partial', 'cache/archives/partial']) await mkdir(path(part), { recursive: true });
    await writeFile(path('status'), '');
    // apt verifies content by signature, so plain HTTP is as safe here as HTTPS, and every apt can do it.
    const mirror = mirrorOf(env, 'http');
    const lines = suites.map(({ base, suite }) => `deb [signed-by=${KEYRING}] ${mirror}/${base} ${suite} main\n`);
    await writeFile(path('sources.list'), lines.join(''));
  }

  return {
    kind: 'apt',
    caveat: () => undefined,

    async refresh(suites: readonly Suite[], report: Report): Promise<Result<undefined, BootFault>> {
      await writeSources(suites);
      report('reading package lists');
      const run = await runProgram(
        'apt-get',
        [...options, '-q', '-o', 'APT::Status-Fd=3', 'update', '--error-on=any'],
        {
          onStatus: (line) => {
            const percent = /^dlstatus:[^:]*:([\d.]+):/.exec(line)?.[1];
            if (percent !== undefined) report('reading package lists', Number(percent) / 100);
          },
        },
      );
      return run.code === 0 ? ok() : refuse('apt-get update', 'package lists', complaint(run.stderr));
    },

    async find(names: readonly string[]): Promise<Result<readonly PackageRecord[], BootFault>> {
      const run = await runProgram('apt-cache', [...options, 'show', '--all-versions', '--', ...names]);
      const records = parseIndex(run.stdout, new Set(names));
      return records.length > 0 ? ok(records) : refuse('apt-cache show', names.join(' '), complaint(run.stderr));
    },

    async all(): Promise<Result<readonly PackageRecord[], BootFault>> {
      const run = await runProgram('apt-cache', [...options, 'dumpavail'], { outputBytesMax: INDEX_BYTES_MAX });
      const records = parseIndex(run.stdout);
      return records.length > 0 ? ok(records) : refuse('apt-cache dumpavail', 'package lists', complaint(run.stderr));
    },

    async downloadAll(records, pathOf, report): Promise<Result<undefined, BootFault>> {
      // One apt for all; it continues what an earlier one left in this folder.
      const work = path('downloads', 'set');
      await mkdir(work, { recursive: true });
      const what = `fetching ${records.length} packages`;
      report(what, 0);
      const specs = records.map((record) => `${record.name}=${record.version}`);
      const run = await runProgram(
        'apt-get',
        [...options, '-q', '-o', 'APT::Status-Fd=3', 'download', '--', ...specs],
        {
          folder: work,
          onStatus: (line) => {
            const percent = /^dlstatus:[^:]*:([\d.]+):/.exec(line)?.[1];
            if (percent !== undefined) report(what, Number(percent) / 100);
          },
        },
      );
      const bySum = new Map(records.map((record) => [record.sha256, record]));
      for (const name of await readdir(work)) {
        const sum = name.endsWith('.deb') ? await sha256OfFile(join(work, name)) : undefined;
        const record = sum === undefined ? undefined : bySum.get(sum);
        if (record === undefined) continue;
        await rename(join(work, name), pathOf(record));
        bySum.delete(record.sha256);
      }
      const [missing] = bySum.values();
      if (missing === undefined) return ok();
      if (run.code !== 0) return refuse('apt-get download', missing.name, complaint(run.stderr));
      return refuse(missing.name, 'SHA256', 'of the downloaded package is not the one in the signed index');
    },

    async download(record: PackageRecord, target: string, report: Report): Promise<Result<undefined, BootFault>> {
      // One folder per package: apt continues a partial file that it finds there.
      const work = path('downloads', record.name);
      await mkdir(work, { recursive: true });
      report(`fetching ${record.name}`, 0);
      const spec = `${record.name}=${record.version}`;
      const run = await runProgram('apt-get', [...options, '-q', '-o', 'APT::Status-Fd=3', 'download', '--', spec], {
        folder: work,
        onStatus: (line) => {
          const percent = /^dlstatus:[^:]*:([\d.]+):/.exec(line)?.[1];
          if (percent !== undefined) report(`fetching ${record.name}`, Number(percent) / 100);
        },
      });
      if (run.code !== 0) return refuse('apt-get download', spec, complaint(run.stderr));
      for (const name of await readdir(work)) {
        if (!name.endsWith('.deb') || (await sha256OfFile(join(work, name))) !== record.sha256) continue;
        await rename(join(work, name), target);
        return ok();
      }
      return refuse(spec, 'SHA256', 'of the downloaded package is not the one in the signed index');
    },
  };
}
