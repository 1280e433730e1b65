/**
 * The condition flags of one region, kept as what they came from: a kind (flag-sources.ts) and its operands, in three
 * locals. Setting them costs next to nothing; their values are worked out where something reads them, and at the exit.
 *
 * What is known at translation time is `known`: inside a block, and in blocks entered from one place only, it says how
 * the flags were set, so that a condition becomes one comparison. Where paths join, only the locals know (undefined).
 */
import { FLAGS, type FlagOperation, type FlagSource, flagSource } from '../interpreter/flag-sources.js';
import type { FlagName, Ops } from '../ops.js';
import { STATE } from '../state.js';
import { type FunctionBody, i32, i64, isConstant, type Val } from '../wasm/body.js';

/** What flags were set by, as far as translation knows. Operands are the locals `a` and `b`, or constants. */
export type KnownFlags =
  | { readonly kind: FlagSource; readonly a: Val; readonly b: Val }
  /** Split flags set by a comparison of two floats that are not NaN. */
  | { readonly kind: 'float'; readonly a: Val; readonly b: Val }
  /** Where `holds` is not zero, those of `kind`; elsewhere the constant `nzcv` (bits 31 to 28). */
  | { readonly kind: 'conditional'; readonly holds: Val; readonly then: KnownFlags; readonly nzcv: number };

const NAMES = ['flagN', 'flagZ', 'flagV', 'flagC'] as const;
const ZERO64 = i64(0);
const isWide = (kind: FlagSource): boolean => kind === FLAGS.sub64 || kind === FLAGS.add64 || kind === FLAGS.logic64;

/** Whether condition `code` holds for the flags `nzcv` (bits 31 to 28). */
function constantCondition(code: number, nzcv: number): boolean {
  const [n, z, c, v] = [nzcv < 0, (nzcv & (1 << 30)) !== 0, (nzcv & (1 << 29)) !== 0, (nzcv & (1 << 28)) !== 0];
  const positive = [z, c, n, v, c && !z, n === v, n === v && !z, true][code >> 1] === true;
  return (code & 1) === 1 && code !== 15 ? !positive : positive;
}

/** See the head of this file. */
export class RegionFlags {
  readonly #k: Ops;
  /** Bit n: some instruction of the region sets flags of kind n. */
  readonly #sources: number;
  readonly #kind: Val;
  readonly #a: Val;
  readonly #b: Val;
  readonly #holds: Val;
  readonly #split: Record<FlagName, Val>;
  /** Operands of a float comparison, by type: made when first needed. */
  readonly #floats = new Map<string, readonly [Val, Val]>();
  readonly #body: FunctionBody;
  known: KnownFlags | undefined = { kind: FLAGS.memory, a: ZERO64, b: ZERO64 };

  /** @param sources bit n: an instruction of the region sets flags of kind n. */
  constructor(k: Ops, body: FunctionBody, sources: number) {
    this.#k = k;
    this.#body = body;
    this.#sources = sources;
    this.#kind = body.local('i32');
    this.#a = body.local('i64');
    this.#b = body.local('i64');
    this.#holds = body.local('i32');
    this.#split = {
      flagN: body.local('i64'),
      flagZ: body.local('i64'),
      flagV: body.local('i64'),
      flagC: body.local('i32'),
    };
  }

  /** Whether `local` holds a flag. */
  holds(local: number): boolean {
    return local >= this.#holds.local && local <= this.#split.flagC.local;
  }

  /** The state block has the right flags: at the entry and behind a handler. */
  setMemory(): void {
    this.#setKind(FLAGS.memory);
    this.known = { kind: FLAGS.memory, a: ZERO64, b: ZERO64 };
  }

  #setKind(kind: FlagSource): void {
    if (this.#sources !== 0) this.#k.assign(this.#kind, i32(kind));
  }

  /** The flags are now those of `operation` on `a` and `b` (for logic, `a` is the result and `b` is not used). */
  set(operation: FlagOperation, a: Val, b: Val): void {
    this.#setKind(flagSource(operation, a.type));
    this.known = this.#keep(operation, a, b);
  }

  #keep(operation: FlagOperation, a: Val, b: Val): KnownFlags {
    const k = this.#k;
    const [wideA, wideB] = [k.extendU(a), k.extendU(b)];
    k.assign(this.#a, wideA);
    if (operation !== 'logic') k.assign(this.#b, wideB);
    return {
      kind: flagSource(operation, a.type),
      a: this.#a,
      b: isConstant(wideB) ? wideB : this.#b,
    };
  }

  /** As {@link set} where `condition` (i32) holds; elsewhere the flags are the constant `nzcv`, bits 31 to 28. */
  setIf(condition: Val, operation: FlagOperation, a: Val, b: Val, nzcv: number): void {
    const k = this.#k;
    k.assign(this.#holds, condition);
    const then = this.#keep(operation, a, b);
    // The operands stay as they are for `then`; a packed value goes into a local of its own kind at the join only.
    k.assign(this.#kind, k.select(this.#holds, i32(flagSource(operation, a.type)), i32(FLAGS.packed | (nzcv & ~15))));
    this.known = { kind: 'conditional', holds: this.#holds, then, nzcv };
  }

  /** Writes one split flag; the caller writes all four. */
  setSplit(name: FlagName, value: Val): void {
    this.#k.assign(this.#split[name], value);
    if (this.known?.kind === FLAGS.split) return;
    this.#setKind(FLAGS.split);
    this.known = { kind: FLAGS.split, a: ZERO64, b: ZERO64 };
  }

  /** The split flags just set describe a comparison of `a` with `b`, which are not NaN. */
  noteFloat(a: Val, b: Val): void {
    const locals = this.#floats.get(a.type) ?? [this.#body.local(a.type), this.#body.local(a.type)];
    this.#floats.set(a.type, locals);
    this.#k.assign(locals[0], a);
    this.#k.assign(locals[1], b);
    this.known = { kind: 'float', a: locals[0], b: locals[1] };
  }

  /** One split flag's value. */
  get(name: FlagName): Val {
    const known = this.known;
    if (known === undefined || known.kind === 'conditional') this.#toSplit();
    else if (known.kind === FLAGS.memory) return this.#load(name);
    else if (known.kind !== FLAGS.split && known.kind !== 'float')
      return this.#value(name, known.kind, known.a, known.b);
    return this.#split[name];
  }

  #load(name: FlagName): Val {
    return this.#k.stateLoad(name === 'flagC' ? 'u32' : 'u64', STATE[name]);
  }

  /** A split flag of a kind that is arithmetic or packed. */
  #value(name: FlagName, kind: FlagSource, wideA: Val, wideB: Val): Val {
    const k = this.#k;
    const a = isWide(kind) ? wideA : k.wrap(wideA);
    const b = isWide(kind) ? wideB : k.wrap(wideB);
    switch (kind) {
      case FLAGS.sub32:
      case FLAGS.sub64: {
        if (name === 'flagC') return k.geU(a, b);
        const result = k.sub(a, b);
        return k.extendS(name === 'flagV' ? k.and(k.xor(a, b), k.xor(a, result)) : result);
      }
      case FLAGS.add32:
      case FLAGS.add64: {
        const result = k.add(a, b);
        if (name === 'flagC') return k.ltU(result, a);
        return k.extendS(name === 'flagV' ? k.and(k.xor(a, result), k.xor(b, result)) : result);
      }
      case FLAGS.logic32:
      case FLAGS.logic64:
        if (name === 'flagC') return i32(0);
        return name === 'flagV' ? ZERO64 : k.extendS(a);
      default: // packed
        if (name === 'flagN') return k.extendS(a);
        if (name === 'flagZ') return k.extendU(k.eqz(k.and(a, i32(1 << 30))));
        return name === 'flagC' ? k.and(k.shrU(a, i32(29)), i32(1)) : k.extendS(k.shl(a, i32(3)));
    }
  }

  /** Works the split flags out from whatever kind holds at run time. */
  #toSplit(): void {
    const k = this.#k;
    k.if(k.eqz(this.#kind), () => {
      for (const name of NAMES) k.assign(this.#split[name], this.#load(name));
    });
    this.#fromArithmetic();
    this.#setKind(FLAGS.split);
    this.known = { kind: FLAGS.split, a: ZERO64, b: ZERO64 };
  }

  #fromArithmetic(): void {
    const k = this.#k;
    for (const kind of Object.values(FLAGS)) {
      if (kind < FLAGS.sub32 || ((this.#sources >> kind) & 1) === 0) continue;
      const a = kind === FLAGS.packed ? k.extendU(this.#kind) : this.#a;
      const is = kind === FLAGS.packed ? k.and(this.#kind, i32(15)) : this.#kind;
      k.if(k.eq(is, i32(kind)), () => {
        for (const name of NAMES) k.assign(this.#split[name], this.#value(name, kind, a, this.#b));
      });
    }
  }

  /** Brings the state block's flags up to date. The flags' kind is then not right any more: nothing may read it. */
  store(): void {
    const k = this.#k;
    if (this.#sources === 0) return;
    k.if(this.#kind, () => {
      this.#fromArithmetic();
      for (const name of NAMES) k.stateStore(name === 'flagC' ? 'u32' : 'u64', STATE[name], this.#split[name]);
    });
  }

  /** Condition `code` as i32, if what the flags came from answers it directly. */
  condition(code: number, known = this.known): Val | undefined {
    if (known === undefined || code >= 14) return undefined;
    if (known.kind === 'float') return this.#floatCondition(code, known.a, known.b);
    if (known.kind === 'conditional') {
      const then = this.condition(code, known.then) ?? this.#arithmeticCondition(code, known.then);
      if (then === undefined) return undefined;
      const k = this.#k;
      return constantCondition(code, known.nzcv) ? k.or(k.eqz(known.holds), then) : k.and(known.holds, then);
    }
    const { kind } = known;
    if (kind !== FLAGS.sub32 && kind !== FLAGS.sub64) return undefined;
    const narrow = kind === FLAGS.sub32;
    return this.#compared(code, narrow ? this.#k.wrap(known.a) : known.a, narrow ? this.#k.wrap(known.b) : known.b);
  }

  /** A condition of known arithmetic by way of the split flags' values. */
  #arithmeticCondition(code: number, known: KnownFlags): Val | undefined {
    if (typeof known.kind !== 'number' || known.kind < FLAGS.sub32) return undefined;
    const outer = this.known;
    this.known = known;
    const value = this.#k.conditionFromFlags(code);
    this.known = outer;
    return value;
  }

  /** Conditions of a - b. */
  #compared(code: number, a: Val, b: Val): Val | undefined {
    const k = this.#k;
    switch (code) {
      case 0:
        return k.eq(a, b);
      case 1:
        return k.ne(a, b);
      case 2:
        return k.geU(a, b);
      case 3:
        return k.ltU(a, b);
      case 8:
        return k.ltU(b, a);
      case 9:
        return k.geU(b, a);
      case 10:
        return k.geS(a, b);
      case 11:
        return k.ltS(a, b);
      case 12:
        return k.ltS(b, a);
      case 13:
        return k.geS(b, a);
      default:
        return undefined;
    }
  }

  /** Conditions of a comparison of floats, neither of them NaN: N is a < b, Z is a = b, C is a >= b, V is clear. */
  #floatCondition(code: number, a: Val, b: Val): Val {
    const operator = (['eq', 'ge', 'lt', undefined, 'gt', 'ge', 'gt'] as const)[code >> 1];
    const opposite = (['ne', 'lt', 'ge', undefined, 'le', 'lt', 'le'] as const)[code >> 1];
    const name = (code & 1) === 0 ? operator : opposite;
    if (name === undefined) return i32(code & 1);
    return this.#k.op(a.type === 'f64' ? `f64.${name}` : `f32.${name}`, a, b);
  }
}
