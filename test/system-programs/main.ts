/** Random system programs from the command line: compares their digests, or lists one of them. */
import { campaignOptions, refuse, wholeNumber } from '../harness/campaign-options.js';
import { compareDigests, shrink } from './compare.js';
import { describeProgram } from './report.js';

const SHRUNK_MAX = Number(process.env['SHRUNK'] ?? 6);
const values = campaignOptions('node dist/test/system-programs/main.js', 'Random system programs, ours against QEMU.', {
  seed: { help: 'of the first program', value: '1' },
  programs: { help: 'how many', value: '1000' },
  show: { help: 'list this program, and what it digests differently, instead', value: '' },
  without: { help: 'with --show: items to leave out, separated by commas', value: '' },
  rounds: { help: 'with --show: rounds of the program', value: '' },
  on: { help: 'with --show: jit, interpreter or stepped', value: 'jit' },
});
const [first, count] = [wholeNumber('seed', values.seed, 0), wholeNumber('programs', values.programs, 1)];

if (values.show !== '') {
  const program = {
    seed: wholeNumber('show', values.show, 0),
    without: new Set(values.without.split(',').filter(Boolean).map(Number)),
    rounds: values.rounds === '' ? undefined : wholeNumber('rounds', values.rounds, 1),
  };
  const place =
    (['jit', 'interpreter', 'stepped'] as const).find((name) => name === values.on) ??
    refuse('--on wants jit, interpreter or stepped.');
  process.stdout.write(`${await describeProgram(program, place)}\n`);
} else {
  const started = performance.now();
  const programs = Array.from({ length: count }, (_, i) => {
    return { seed: first + i, without: new Set<number>(), rounds: undefined };
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
