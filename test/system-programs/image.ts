/** Makes the bootable image of random programs: runtime.s assembled around their records. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Program, programRecord } from './programs.js';

const ASSEMBLER = 'aarch64-linux-gnu-as';
const LINKER = 'aarch64-linux-gnu-ld';
/** Far from the powers of two that the programs use as addresses. */
const TEXT_AT = 0x4035_5000;
const RUNTIME = fileURLToPath(new URL('../../../test/system-programs/runtime.s', import.meta.url));

/** A tool that is needed and that this machine lacks, or undefined. */
export function missingImageTool(): string | undefined {
  return [ASSEMBLER, LINKER].find((tool) => spawnSync(tool, ['--version']).status !== 0);
}

/** An image on disk; `dispose` removes it. */
export interface ProgramsImage {
  readonly file: string;
  dispose(): void;
}

/** Builds the image of these programs. `verbose`: every word that goes into a digest is printed. */
export function buildImage(programs: readonly Program[], verbose = false): ProgramsImage {
  const folder = mkdtempSync(join(tmpdir(), 'wurley-system-programs-'));
  const head = Buffer.alloc(16);
  head.writeUInt32LE(programs.length, 0);
  head.writeUInt32LE(verbose ? 1 : 0, 4);
  writeFileSync(join(folder, 'programs.bin'), Buffer.concat([head, ...programs.map(programRecord)]));
  return assembleImage(folder, RUNTIME);
}

/** Assembles and links `runtime`, which includes files of `folder`; the image lies there, too. */
export function assembleImage(folder: string, runtime: string): ProgramsImage {
  const object = join(folder, 'programs.o');
  const file = join(folder, 'programs.elf');
  execFileSync(ASSEMBLER, ['-march=armv8.2-a', '-I', folder, '-I', dirname(runtime), '-o', object, runtime]);
  execFileSync(LINKER, [`-Ttext=0x${TEXT_AT.toString(16)}`, '-z', 'max-page-size=4096', '-o', file, object]);
  return { file, dispose: () => rmSync(folder, { recursive: true }) };
}
