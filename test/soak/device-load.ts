/**
 * What runs in the two machines of the device campaign, and what their lines mean. The first writes files with known sums to its
 * disk, each acknowledged after it is synced, reads them back past the page cache, and moves streams through the gateway and, over a
 * switch, from the second. A line is one claim: `W file sum` written and synced, `R file sum` read back, `N n sum` a download by
 * number, `U sent answered` an upload, `P sum` a download from the neighbour, `X what` an attempt that reported an error.
 */
import { createHash } from 'node:crypto';

/** Files on the disk; each is written again and again. */
export const FILES = 24;
const NUMBERS = 150_000;

/** Ends what is served: a stream that was cut short is told by it. */
const END = 'END.';

/** What the host serves under number `n`. */
export function download(n: number): Uint8Array {
  const block = createHash('sha512').update(`download ${n}`).digest();
  return Buffer.concat([...Array.from({ length: 20_000 + (n % 7) * 9_000 }, () => block), Buffer.from(END)]);
}

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

/** MD5 of what the neighbour serves. */
export const NEIGHBOUR_SUM = md5(Buffer.from(Array.from({ length: NUMBERS }, (_, i) => `${i + 1}\n`).join('')));

const card = (name: string, address: string): string =>
  `ip link set ${name} up; ip addr add ${address}/24 dev ${name}; ping -c 1 -W 60 127.0.0.1 >/dev/null`;

/** The neighbour: serves until it is told to stop. */
export const NEIGHBOUR = [
  card('eth0', '10.9.0.2'),
  `mkdir /w; seq 1 ${NUMBERS} >/w/numbers; httpd -p 80 -h /w; echo SERVING`,
  'until nc -l -p 2000 </dev/null | grep -q stop; do :; done',
  'poweroff -f',
];

/**
 * The load: for `seconds`, against the host's two ports. Debian's busybox has no fsync, but a `sync FILE` that reports errors; its
 * wget crashes in whatever machine, its nc does not. A stream whose other end is gone may never end: each has a minute.
 */
export function load(seconds: number, source: number, sink: number): readonly string[] {
  return [
    'modprobe ext4; mkdir /a; mount -t ext4 /dev/vda /a || echo X mount',
    card('eth0', '10.0.2.15'),
    card('eth1', '10.9.0.1'),
    `e=$(($(date +%s) + ${seconds})); sum() { md5sum | cut -d " " -f 1; }; going() { [ $(date +%s) -lt $e ]; }`,
    'echo LOAD',
    'disk() { i=0; while going; do k=$((i % 24)); ' +
      'head -c $((300000 + i * 7919 % 900000)) /dev/urandom >/tmp/d; s=$(sum </tmp/d); ' +
      'if cp /tmp/d /a/new && sync /a/new && mv /a/new /a/f$k && sync /a; then echo "W f$k $s"; else echo "X disk"; fi; ' +
      'k=$(((i * 5) % 24)); if [ -e /a/f$k ]; then echo 1 >/proc/sys/vm/drop_caches; echo "R f$k $(sum </a/f$k)"; fi; ' +
      'i=$((i + 1)); done; }',
    `down() { i=0; while going; do echo $i | timeout 60 nc -w 20 10.0.2.2 ${source} >/tmp/n; ` +
      `if [ "$(tail -c ${END.length} /tmp/n)" = ${END} ]; then s=$(sum </tmp/n); echo "N $i $s"; ` +
      `a=$(timeout 60 nc -w 20 10.0.2.2 ${sink} </tmp/n); if [ -n "$a" ]; then echo "U $s $a"; else echo "X up"; fi; ` +
      'else echo "X down"; sleep 1; fi; i=$((i + 1)); done; }',
    'peer() { while going; do printf "GET /numbers HTTP/1.0\\r\\n\\r\\n" | timeout 60 nc -w 20 10.9.0.2 80 >/tmp/h; ' +
      `sed "1,/^.\\{0,1\\}$/d" </tmp/h >/tmp/p; if [ "$(tail -n 1 /tmp/p)" = ${NUMBERS} ]; ` +
      'then echo "P $(sum </tmp/p)"; else echo "X peer"; sleep 1; fi; done; }',
    'disk & down & peer & wait',
    'umount /a; n=0; until echo stop | timeout 30 nc -w 5 10.9.0.2 2000 || [ $n -ge 20 ]; do n=$((n + 1)); done',
    // What the kernel says of tasks and processors that stood still for long tells how busy the host is, not what the devices do.
    'echo "T $(dmesg | grep -v "soft lockup" | grep -cE "I/O error|EXT4-fs error|BUG|Oops")"',
    'echo DONE; poweroff -f',
  ];
}

/** Keeps what was claimed, and finds claims that are wrong. */
export class Claims {
  /** The sum of each file as last acknowledged. */
  readonly files = new Map<string, string>();
  readonly counts = new Map<string, number>();
  readonly problems: string[] = [];

  take(line: string): void {
    const [kind = '', first = '', second = ''] = line.split(' ');
    if (!/^[WRNUPXT]$/.test(kind)) return;
    const key = kind === 'X' ? `X ${first}` : kind;
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
    if (kind === 'W') this.files.set(first, second);
    else if (kind === 'R') this.#expect(line, second, this.files.get(first));
    else if (kind === 'N') this.#expect(line, second, md5(download(Number(first))));
    else if (kind === 'U') this.#expect(line, second, first);
    else if (kind === 'P') this.#expect(line, first, NEIGHBOUR_SUM);
    else if (kind === 'T') this.#expect(line, first, '0');
  }

  #expect(line: string, claimed: string, wanted: string | undefined): void {
    if (claimed !== wanted && this.problems.length < 20) this.problems.push(`${line}, expected ${wanted ?? 'nothing'}`);
  }
}
