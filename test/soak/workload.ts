/**
 * The load of a soak: a shell script for the guest whose every result the host can compute, and that computation. A worker's
 * round does forks, pipes, signals, checksums, compression, sorting and floating point over numbers that change with the round.
 */
import { createHash } from 'node:crypto';

/** Kinds of work, as they are named in the guest's result lines. */
export const WORK = [
  'md5',
  'sha1',
  'sha256',
  'sha512',
  'gzip',
  'sort',
  'pipe',
  'awk',
  'fork',
  'signal',
  'file',
] as const;
/** A name in {@link WORK}. */
type Work = (typeof WORK)[number];

const FORKS = 25;
const SIGNALS = 10;
/** Size of a round's work: the highest number of its sequence. */
export const sizeOf = (worker: number, round: number): number => 500 + ((round * 7919 + worker * 104_729) % 9_000);

/**
 * The guest's script: `sh load.sh WORKER ROUNDS_UNTIL` works until that time (seconds since the epoch), one round at least, and
 * prints a line `R worker round kind result` for each piece of work, whole lines in single writes.
 */
export const LOAD_SCRIPT = `w=$1; until=$2; r=0
say() { echo "R $w $r $1 $2"; }
hash() { cut -d ' ' -f 1; }
got=0; trap 'got=$((got+1))' USR1
while [ $r -eq 0 ] || [ $(date +%s) -lt $until ]; do
n=$((500 + (r * 7919 + w * 104729) % 9000))
say md5 $(seq 1 $n | md5sum | hash)
say sha1 $(seq 1 $n | sha1sum | hash)
say sha256 $(seq 1 $n | sha256sum | hash)
say sha512 $(seq 1 $n | sha512sum | hash)
say gzip $(seq 1 $n | gzip | gunzip | sha256sum | hash)
say sort $(seq 1 $n | sort -rn | md5sum | hash)
say pipe $(seq 1 $n | cat | tr 0-9 a-j | cat | sha1sum | hash)
say awk $(seq 1 $n | awk '{ s += $1 / 3 - $1 * 0.07 } END { printf "%.6f", s }')
s=0; i=0; while [ $i -lt ${FORKS} ]; do (exit $((i % 7))); s=$((s * 3 % 65521 + $?)); i=$((i+1)); done
say fork $s
got=0; i=0; while [ $i -lt ${SIGNALS} ]; do (kill -USR1 $$); i=$((i+1)); done
sleep 100 & p=$!; kill -TERM $p; wait $p
say signal $got:$?
seq 1 $n >/tmp/f$w; cp /tmp/f$w /tmp/g$w; tail -c +100 /tmp/g$w | head -c 400 >/tmp/h$w
say file $(cat /tmp/f$w /tmp/h$w | md5sum | hash)
r=$((r+1))
done
echo "D $w $r"
`;

function hash(name: string, text: string): string {
  return createHash(name).update(text, 'latin1').digest('hex');
}

/** What the guest must print for this piece of work. */
export function expected(worker: number, round: number, kind: Work): string {
  const n = sizeOf(worker, round);
  const numbers = Array.from({ length: n }, (_, i) => i + 1);
  const text = numbers.map((number) => `${number}\n`).join('');
  switch (kind) {
    case 'md5':
    case 'sha1':
    case 'sha256':
    case 'sha512':
      return hash(kind, text);
    case 'gzip':
      return hash('sha256', text);
    case 'sort':
      return hash(
        'md5',
        numbers
          .toReversed()
          .map((number) => `${number}\n`)
          .join(''),
      );
    case 'pipe':
      return hash(
        'sha1',
        text.replaceAll(/\d/g, (digit) => 'abcdefghij'[Number(digit)] ?? ''),
      );
    case 'awk':
      return numbers.reduce((sum, number) => sum + (number / 3 - number * 0.07), 0).toFixed(6);
    case 'fork':
      return String(Array.from({ length: FORKS }, (_, i) => i % 7).reduce((s, code) => ((s * 3) % 65_521) + code, 0));
    case 'signal':
      return `${SIGNALS}:143`;
    case 'file':
      return hash('md5', text + text.slice(99, 499));
  }
}

/** One result line, checked: undefined for a line that is none. */
export function checkResult(line: string): { readonly right: boolean; readonly text: string } | undefined {
  const found = /^R (\d+) (\d+) (\w+) (\S*)$/.exec(line);
  if (found === null) return undefined;
  const [, worker = '', round = '', name = '', result = ''] = found;
  const kind = WORK.find((known) => known === name);
  if (kind === undefined) return { right: false, text: `unknown work: ${line}` };
  const wanted = expected(Number(worker), Number(round), kind);
  return { right: wanted === result, text: `${line}, expected ${wanted}` };
}
