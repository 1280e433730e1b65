/** The typical message of the benchmarks: what a device tells the core, ten fields of mixed kinds. */

/** Message number `n`. */
export function tenFields(n: number) {
  return {
    kind: 'blockRequest',
    id: n,
    vm: 'debian-1',
    queue: 3,
    sector: 123_456_789 + n,
    lengthBytes: 4096,
    write: (n & 1) === 1,
    flags: [1, 2, 3],
    timeMs: 1234.5 + n,
    reply: { actor: 'vmm', token: n },
  };
}
