// Draws what a command really prints as an SVG of a terminal:
//   node docs/images/capture.mjs OUT.svg 'WHAT THE READER TYPES' COMMAND ARG... [< WHAT IS TYPED INTO IT]
// The command runs once, without a terminal; standard output and errors are drawn line by line as they came. Of long
// output the first and the last lines are drawn, and between them how many are missing.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';

const [out, typed, command, ...args] = process.argv.slice(2);
if (out === undefined || typed === undefined || command === undefined) {
  process.stderr.write("usage: node docs/images/capture.mjs OUT.svg 'TYPED' COMMAND ARG...\n");
  process.exit(64);
}
const { stdout, stderr, status } = spawnSync(command, args, {
  encoding: 'utf8',
  env: { ...process.env, COLUMNS: '100' },
  stdio: ['inherit', 'pipe', 'pipe'],
});
if (status !== 0) {
  process.stderr.write(`${command} ended with ${status}\n${stderr}`);
  process.exit(1);
}

const LINE = 18;
const CELL = 7.85;
const TOP = 44;
const COLUMNS_MIN = 80;
// Escape sequences colour or move; the picture keeps the text alone.
const plain = (text) =>
  text.replaceAll(new RegExp(`${String.fromCharCode(27)}\\[[0-9;?]*[A-Za-z]`, 'g'), '').replaceAll('\r', '');
const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const LINES_EACH_END = 12;
const all = plain(stderr + stdout)
  .trimEnd()
  .split('\n');
const left = all.length - 2 * LINES_EACH_END;
const shown = left <= 1 ? all : [...all.slice(0, LINES_EACH_END), `[${left} lines]`, ...all.slice(-LINES_EACH_END)];
const lines = [`$ ${typed}`, ...shown];
const columns = Math.max(COLUMNS_MIN, ...lines.map((line) => line.length));
const width = Math.ceil(columns * CELL + 32);
const height = TOP + lines.length * LINE + 14;
const rows = lines.map((line, i) => {
  const fill = i === 0 ? '#7ee787' : '#e6edf3';
  return `<text x="16" y="${TOP + (i + 1) * LINE - 5}" fill="${fill}" xml:space="preserve">${escaped(line)}</text>`;
});
const dots = ['#ff5f57', '#febc2e', '#28c840'].map(
  (fill, i) => `<circle cx="${20 + 18 * i}" cy="18" r="6" fill="${fill}"/>`,
);
writeFileSync(
  out,
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13">
<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>
${dots.join('')}
${rows.join('\n')}
</svg>
`,
);
