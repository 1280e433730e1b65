// Fails when a folder's tests reach fewer of its lines than its floor. Reads what c8 has just written. A floor is what holds, rounded
// down; it is raised when tests are added and never lowered silently. Generated WebAssembly is not seen by c8.
import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Least percentage of lines, by folder. Files no test loads are not counted by c8: knip and review look after those. */
const FLOORS = { actors: 85, bus: 98, cli: 75, cpu: 94, devices: 90 };

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { total: _, ...files } = JSON.parse(readFileSync(join(root, 'coverage', 'coverage-summary.json'), 'utf8'));
let low = 0;
for (const [folder, floor] of Object.entries(FLOORS)) {
  const lines = Object.entries(files)
    .filter(([file]) => relative(root, file).startsWith(`${folder}/`))
    .map(([, counts]) => counts.lines);
  const covered = lines.reduce((sum, { covered }) => sum + covered, 0);
  const all = lines.reduce((sum, { total }) => sum + total, 0);
  const percent = all === 0 ? 0 : (100 * covered) / all;
  const verdict = percent >= floor ? '' : ` BELOW its floor of ${floor} %`;
  if (percent < floor) low++;
  process.stdout.write(
    `coverage of ${folder}/: ${percent.toFixed(1)} % of ${all} lines in ${lines.length} files${verdict}\n`,
  );
}
process.exitCode = low === 0 ? 0 : 1;
