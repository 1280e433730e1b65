/**
 * Assembles a WebAssembly module from function bodies (binary format, WebAssembly core specification, section 5.5).
 * Only what generated code needs: function types, imports of functions, one memory and one table, exports, code.
 */

/** WebAssembly value types by their binary code. */
export const TYPE_CODE = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;
/** Name of a WebAssembly value type. */
export type ValueType = keyof typeof TYPE_CODE;

/** A growable byte buffer with the LEB128 writers of the binary format. */
export class ByteSink {
  bytes = new Uint8Array(1024);
  length = 0;

  /** Makes room for `extra` more bytes. */
  reserve(extra: number): void {
    if (this.length + extra <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + extra));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }

  /** Leaves room for `bytes` bytes that are written later; answers where. */
  skip(bytes: number): number {
    const at = this.length;
    this.reserve(bytes);
    this.length = at + bytes;
    return at;
  }

  /** Appends one byte. */
  byte(value: number): void {
    if (this.length === this.bytes.length) this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** Appends an unsigned LEB128 number below 2^32. */
  u32(value: number): void {
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.byte(rest);
  }

  /** Appends a signed LEB128 32-bit number. */
  s32(value: number): void {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 0x80);
    }
  }

  /** Appends a signed LEB128 64-bit number. */
  s64(value: bigint): void {
    let rest = BigInt.asIntN(64, value);
    if (rest >= -0x40000000n && rest < 0x40000000n) {
      this.s32(Number(rest));
      return;
    }
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 0x80);
    }
  }

  /** Appends the first `length` bytes of `source`. */
  append(source: Uint8Array, length = source.length): void {
    this.reserve(length);
    this.bytes.set(length === source.length ? source : source.subarray(0, length), this.length);
    this.length += length;
  }

  /** Appends a name: its length in bytes, then its characters (ASCII). */
  name(text: string): void {
    this.u32(text.length);
    for (let i = 0; i < text.length; i++) this.byte(text.charCodeAt(i));
  }

  /** A copy of what was written. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length);
  }
}

/** A function type: parameter and result types. */
export interface FunctionType {
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
}

/** An imported function. */
interface FunctionImport {
  readonly name: string;
  readonly type: number;
}

/** Builds one module. Imported functions are numbered first, in the order given, then own functions. */
export class ModuleBuilder {
  readonly #types: FunctionType[] = [];
  readonly #imports: FunctionImport[] = [];
  readonly #globals: string[] = [];
  readonly #functions: { type: number; body: Uint8Array | undefined }[] = [];
  readonly #exports: { name: string; index: number }[] = [];
  #elements: readonly number[] = [];
  readonly #custom: { name: string; content: Uint8Array }[] = [];
  #importsTable = false;
  #tableName: string | undefined;
  #ownTableSize = 0;

  /** The index of the function type, added if new. */
  type(params: readonly ValueType[], results: readonly ValueType[]): number {
    const same = (a: readonly ValueType[], b: readonly ValueType[]): boolean => a.join() === b.join();
    const known = this.#types.findIndex((type) => same(type.params, params) && same(type.results, results));
    if (known >= 0) return known;
    return this.#types.push({ params, results }) - 1;
  }

  /** Imports `env.name` as a function; must precede the first own function. Returns its function index. */
  importFunction(name: string, params: readonly ValueType[], results: readonly ValueType[]): number {
    return this.#imports.push({ name, type: this.type(params, results) }) - 1;
  }

  /** Imports `env.name` as a constant of type i32. Returns its global index. */
  importGlobal(name: string): number {
    return this.#globals.push(name) - 1;
  }

  /** Imports `env.table` (funcref) as table 0. */
  importTable(): void {
    this.#importsTable = true;
  }

  /** Declares an own table holding exactly the functions `indices` from slot 0. Its table index follows an imported table's. */
  ownTable(indices: readonly number[]): void {
    this.#elements = indices;
    this.#ownTableSize = indices.length;
  }

  /** Exports the own table: who takes a function from there pays for that one only, where every exported one is made when the module is. */
  exportTable(name: string): void {
    this.#tableName = name;
  }

  /** Declares an own function of type index `type`; its body is given later with {@link setBody}. Returns its index. */
  declare(type: number): number {
    return this.#imports.length + this.#functions.push({ type, body: undefined }) - 1;
  }

  /** Gives the function `index` its body: locals declaration and code, ending with `end`. */
  setBody(index: number, body: Uint8Array): void {
    const entry = this.#functions[index - this.#imports.length];
    if (entry !== undefined) entry.body = body;
  }

  /** Exports function `index` as `name`. */
  exportFunction(name: string, index: number): void {
    this.#exports.push({ name, index });
  }

  /** Adds a section that WebAssembly itself does not read: see WebAssembly.Module.customSections. */
  customSection(name: string, content: Uint8Array): void {
    this.#custom.push({ name, content });
  }

  /** The module's bytes. Memory 0 is the shared memory `env.memory`. */
  build(): Uint8Array<ArrayBuffer> {
    const out = new ByteSink();
    out.append(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
    const section = (id: number, fill: (sink: ByteSink) => void): void => {
      const sink = new ByteSink();
      fill(sink);
      out.byte(id);
      out.u32(sink.length);
      out.append(sink.bytes, sink.length);
    };
    section(1, (s) => {
      s.u32(this.#types.length);
      for (const { params, results } of this.#types) {
        s.byte(0x60);
        s.u32(params.length);
        for (const p of params) s.byte(TYPE_CODE[p]);
        s.u32(results.length);
        for (const r of results) s.byte(TYPE_CODE[r]);
      }
    });
    section(2, (s) => {
      s.u32(this.#imports.length + this.#globals.length + 1 + (this.#importsTable ? 1 : 0));
      for (const { name, type } of this.#imports) {
        s.name('env');
        s.name(name);
        s.byte(0);
        s.u32(type);
      }
      for (const name of this.#globals) {
        s.name('env');
        s.name(name);
        s.byte(3);
        s.byte(TYPE_CODE.i32);
        s.byte(0); // it never changes
      }
      if (this.#importsTable) {
        s.name('env');
        s.name('table');
        s.byte(1);
        s.byte(0x70);
        s.byte(0);
        s.u32(1);
      }
      s.name('env');
      s.name('memory');
      s.byte(2);
      s.byte(3); // shared, with a maximum
      s.u32(1);
      s.u32(65536);
    });
    section(3, (s) => {
      s.u32(this.#functions.length);
      for (const { type } of this.#functions) s.u32(type);
    });
    if (this.#ownTableSize > 0) {
      section(4, (s) => {
        s.u32(1);
        s.byte(0x70);
        s.byte(1);
        s.u32(this.#ownTableSize);
        s.u32(this.#ownTableSize);
      });
    }
    section(7, (s) => {
      s.u32(this.#exports.length + (this.#tableName === undefined ? 0 : 1));
      for (const { name, index } of this.#exports) {
        s.name(name);
        s.byte(0);
        s.u32(index);
      }
      if (this.#tableName !== undefined) {
        s.name(this.#tableName);
        s.byte(1);
        s.u32(this.#importsTable ? 1 : 0);
      }
    });
    if (this.#ownTableSize > 0) {
      section(9, (s) => {
        s.u32(1);
        s.u32(2); // active segment with an explicit table index and element kind
        s.u32(this.#importsTable ? 1 : 0);
        s.byte(0x41);
        s.s32(0);
        s.byte(0x0b);
        s.byte(0);
        s.u32(this.#elements.length);
        for (const index of this.#elements) s.u32(index);
      });
    }
    section(10, (s) => {
      s.u32(this.#functions.length);
      for (const { body } of this.#functions) {
        const code = body ?? new Uint8Array([0, 0x00, 0x0b]);
        s.u32(code.length);
        s.append(code);
      }
    });
    for (const { name, content } of this.#custom) {
      section(0, (s) => {
        s.name(name);
        s.append(content);
      });
    }
    return out.toBytes();
  }
}
