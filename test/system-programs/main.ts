/**
 * Random system programs from the command line.
 *
 * Usage: node dist/test/system-programs/main.js [--seed N] [--programs N]   compares the digests of N programs
 *        node dist/test/system-programs/main.js --show N [--without ITEM,ITEM] [--rounds N] [--on jit|interpreter|stepped]
 *          lists program N, or what is left without some of its items, and what it digests differently
 */
import { parseArgs } from 'node:util';
import { compareDigests, shrink } from './compare.js';
import { describeProgram } from './report.js';

const SHRUNK_MAX = Number(process.env['SHRUNK'] ?? 6);
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    programs: { type: 'string', default: '1000' },
    show: { type: 'string' },
    without: { type: 'string', default: '' },
    rounds: { type: 'string' },
    on: { type: 'string', default: 'jit' },
  },
});

if (values.show !== undefined) {
  const program = {
    seed: Number(values.show),
    without: new Set(values.without.split(',').filter(Boolean).map(Number)),
    rounds: values.rounds === undefined ? undefined : Number(values.rounds),
  };
  const place = (['jit', 'interpreter', 'stepped'] as const).find((name) => name === values.on) ?? 'jit';
  process.stdout.write(`${await describeProgram(program, place)}\n`);
} else {
  const started = performance.now();
  const programs = Array.from({ length: Number(values.programs) }, (_, i) => {
    return { seed: Number(values.seed) + i, without: new Set<number>(), rounds: undefined };
  });
  const { differences, endless } = await compareDigests(programs, ['jit', 'interpreter', 'stepped']);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(`${differences.map(({ program, place }) => `${program.seed} ${place}`).join(', ')}\n`);
  process.stdout.write(
    `${programs.length} programs in ${seconds} s, ${endless} endless, ${differences.length} differences\n`,
  );
  for (const difference of differences.slice(0, SHRUNK_MAX)) {
    process.stdout.write(`${await describeProgram(await shrink(difference), difference.place)}\n`);
  }
  process.exitCode = differences.length === 0 ? 0 : 1;
}
