/** Breakpoints and watchpoints as GDB inserts and removes them (`Z` and `z` packets). */

const ACCESSES: Readonly<Record<number, number>> = { 2: 2, 3: 1, 4: 3 };
/** More are refused: the vCPU's mailbox takes all in one message. */
const BREAKPOINTS_MAX = 64;
const WATCHPOINTS_MAX = 16;
const WATCHED_BYTES_MAX = 4096;

interface Watchpoint {
  readonly address: bigint;
  readonly bytes: number;
  /** Bit 0: loads, bit 1: stores. */
  readonly accesses: number;
}

/** See the head of this file. */
export class Points {
  /** Addresses, each with the kinds that were inserted there (0: software, 1: hardware; here both are the same). */
  readonly #breakpoints = new Map<bigint, Set<number>>();
  readonly #watchpoints = new Map<string, Watchpoint>();

  get breakpoints(): readonly bigint[] {
    return [...this.#breakpoints.keys()];
  }
  get watchpoints(): readonly Watchpoint[] {
    return [...this.#watchpoints.values()];
  }

  clear(): void {
    this.#breakpoints.clear();
    this.#watchpoints.clear();
  }

  /** Inserts or removes what `type,address,kind` says. */
  change(inserts: boolean, text: string): 'done' | 'refused' | 'unknown' {
    const found = /^([0-9]),([0-9a-f]{1,16}),([0-9a-f]{1,8})(;|$)/i.exec(text);
    if (found === null) return 'refused';
    const type = Number(found[1]);
    const address = BigInt(`0x${found[2]}`);
    if (type <= 1) return this.#changeBreakpoint(inserts, type, address);
    const accesses = ACCESSES[type];
    const bytes = Number.parseInt(found[3] ?? '', 16);
    if (accesses === undefined) return 'unknown';
    if (bytes < 1 || bytes > WATCHED_BYTES_MAX) return 'refused';
    const key = `${type} ${address} ${bytes}`;
    if (!inserts) this.#watchpoints.delete(key);
    else if (this.#watchpoints.size >= WATCHPOINTS_MAX && !this.#watchpoints.has(key)) return 'refused';
    else this.#watchpoints.set(key, { address, bytes, accesses });
    return 'done';
  }

  #changeBreakpoint(inserts: boolean, type: number, address: bigint): 'done' | 'refused' {
    const kinds = this.#breakpoints.get(address) ?? new Set<number>();
    if (inserts) {
      if (this.#breakpoints.size >= BREAKPOINTS_MAX && kinds.size === 0) return 'refused';
      kinds.add(type);
      this.#breakpoints.set(address, kinds);
    } else {
      kinds.delete(type);
      if (kinds.size === 0) this.#breakpoints.delete(address);
    }
    return 'done';
  }
}
