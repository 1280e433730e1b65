/**
 * The gate in front of every generated module: proves from its bytes that it can touch no memory but the state block's
 * harmless fields and what the vCPU's TLB allows. It shares no code with the emitter, only the layout constants of
 * state.ts; what it proves, and on what it relies, is in README.md.
 */
import { err, ok, type Result } from '../../../bus/result.js';
import { Reader } from './reader.js';
import type { Refusal, Rule } from './refusal.js';
import { type Callee, FunctionScanner } from './scan-function.js';

/** Value types run from v128 up to i32. */
const I32 = 0x7f;
const V128 = 0x7b;
const FUNCREF = 0x70;
/** Active, with its table's index: table 0, from i32.const 0 on, functions. */
const SEGMENT = [2, 0, 0x41, 0, 0x0b, 0];

/** Functions a module may import from `env`: all i32, the first parameter the state block. */
const CALLEES: Readonly<Record<string, Callee>> = { step: { params: 1, results: 1 } };

/** Limits, so that a broken module costs no more than a refusal. */
const BYTES_MAX = 1 << 26;
const TYPES_MAX = 64;
const IMPORTS_MAX = 64;
const FUNCTIONS_MAX = 65536;

interface FunctionType {
  readonly params: number;
  readonly results: number;
  /** Whether all of them are i32. */
  readonly plain: boolean;
}

const SECTION = { type: 1, import: 2, function: 3, table: 4, export: 7, element: 9, code: 10 } as const;
/** The sections a module must have, in this order, and nothing else; it may have a table of its functions, which its code cannot use. */
const SECTIONS = [
  ...[SECTION.type, SECTION.import, SECTION.function, SECTION.table],
  ...[SECTION.export, SECTION.element, SECTION.code],
];
const OPTIONAL: ReadonlySet<number> = new Set([SECTION.table, SECTION.element]);

const scanner = new FunctionScanner();

class ModuleScanner {
  readonly #reader: Reader;
  readonly #types: FunctionType[] = [];
  readonly #callees: Callee[] = [];
  #functions = 0;
  #hasTable = false;
  #functionIndex = -1;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#reader = new Reader(bytes);
  }

  scan(): Result<undefined, Refusal> {
    const rule = this.#module();
    if (rule === undefined) return ok();
    return err({ rule, functionIndex: this.#functionIndex, offset: this.#at });
  }

  #module(): Rule | undefined {
    const reader = this.#reader;
    if (reader.bytes.length > BYTES_MAX) return 'size';
    for (const byte of [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]) if (reader.byte() !== byte) return 'malformed';
    for (const section of SECTIONS) {
      this.#at = reader.position;
      if (OPTIONAL.has(section) && reader.bytes[reader.position] !== section) continue;
      if (reader.byte() !== section) return 'section';
      const length = reader.u32();
      const end = reader.position + length;
      if (reader.failed || end > reader.bytes.length) return 'malformed';
      reader.limit = end;
      const rule = this.#section(section);
      if (rule !== undefined) return rule;
      if (reader.failed || reader.position !== end) return 'malformed';
      reader.limit = reader.bytes.length;
    }
    this.#at = reader.position;
    return reader.position === reader.bytes.length ? undefined : 'section';
  }

  #section(section: number): Rule | undefined {
    switch (section) {
      case SECTION.type:
        return this.#repeat(TYPES_MAX, () => this.#type());
      case SECTION.import:
        return this.#imports();
      case SECTION.function:
        return this.#repeat(FUNCTIONS_MAX, () => this.#declaration());
      case SECTION.table:
        return this.#table();
      case SECTION.element:
        return this.#elements();
      case SECTION.export:
        return this.#repeat(FUNCTIONS_MAX, () => this.#export());
      default:
        return this.#code();
    }
  }

  /** Reads a vector of at most `most` items. */
  #repeat(most: number, item: () => Rule | undefined): Rule | undefined {
    const count = this.#reader.u32();
    if (count > most) return 'size';
    for (let i = 0; i < count; i++) {
      this.#at = this.#reader.position;
      const rule = item();
      if (rule !== undefined) return rule;
      if (this.#reader.failed) return 'malformed';
    }
    return undefined;
  }

  #type(): Rule | undefined {
    const reader = this.#reader;
    if (reader.byte() !== 0x60) return 'malformed';
    let plain = true;
    const count = (): number => {
      const values = reader.u32();
      for (let i = 0; i < values && !reader.failed; i++) {
        const type = reader.byte();
        if (type > I32 || type < V128) reader.failed = true;
        if (type !== I32) plain = false;
      }
      return values;
    };
    const params = count();
    const results = count();
    this.#types.push({ params, results, plain });
    return undefined;
  }

  #imports(): Rule | undefined {
    let memories = 0;
    const rule = this.#repeat(IMPORTS_MAX, () => {
      const reader = this.#reader;
      if (reader.name() !== 'env') return 'import';
      const name = reader.name();
      const kind = reader.byte();
      if (kind === 2 && name === 'memory') {
        memories++;
        if (reader.byte() !== 3) return 'import'; // shared, with a maximum, 32-bit addresses
        reader.u32();
        reader.u32();
        return undefined;
      }
      const callee = Object.hasOwn(CALLEES, name) ? CALLEES[name] : undefined;
      const type = this.#types[reader.u32()];
      if (kind !== 0 || callee === undefined || type === undefined) return 'import';
      if (!type.plain || type.params !== callee.params || type.results !== callee.results) return 'import';
      this.#callees.push(callee);
      return undefined;
    });
    return rule ?? (memories === 1 ? undefined : 'import');
  }

  #declaration(): Rule | undefined {
    const type = this.#types[this.#reader.u32()];
    if (type === undefined || !type.plain || type.params !== 1 || type.results !== 1) return 'signature';
    this.#functions++;
    return undefined;
  }

  /** One table of as many functions as there are. */
  #table(): Rule | undefined {
    const reader = this.#reader;
    const isOne = reader.u32() === 1 && reader.byte() === FUNCREF && reader.byte() === 1;
    this.#hasTable = true;
    return isOne && reader.u32() === this.#functions && reader.u32() === this.#functions ? undefined : 'table';
  }

  /** One segment that fills the table from 0 on, when the module is instantiated. */
  #elements(): Rule | undefined {
    const reader = this.#reader;
    const isOne = this.#hasTable && reader.u32() === 1;
    if (!isOne || SEGMENT.some((byte) => reader.byte() !== byte)) return 'table';
    return this.#repeat(this.#functions, () => (this.#isOwn(reader.u32()) ? undefined : 'table'));
  }

  #isOwn(index: number): boolean {
    return index >= this.#callees.length && index < this.#callees.length + this.#functions;
  }

  #export(): Rule | undefined {
    const reader = this.#reader;
    reader.name();
    const kind = reader.byte();
    const index = reader.u32();
    if (kind === 1) return this.#hasTable && index === 0 ? undefined : 'export';
    return kind === 0 && this.#isOwn(index) ? undefined : 'export';
  }

  #code(): Rule | undefined {
    const reader = this.#reader;
    const sectionEnd = reader.limit;
    if (reader.u32() !== this.#functions) return 'malformed';
    for (let i = 0; i < this.#functions; i++) {
      this.#functionIndex = this.#callees.length + i;
      this.#at = reader.position;
      const end = reader.u32() + reader.position;
      if (reader.failed || end > sectionEnd) return 'malformed';
      reader.limit = end;
      const rule = scanner.scan(reader, end, this.#callees);
      if (rule !== undefined) {
        this.#at = scanner.at;
        return rule;
      }
      reader.limit = sectionEnd;
    }
    this.#functionIndex = -1;
    return undefined;
  }
}

/** Proves the module in `bytes`, or says what is wrong with it. A module must not be instantiated without this. */
export function scanModule(bytes: Uint8Array): Result<undefined, Refusal> {
  return new ModuleScanner(bytes).scan();
}
