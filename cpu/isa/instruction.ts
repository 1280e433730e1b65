/**
 * How an instruction is declared: one entry gives its bit pattern, what the decoder must check beyond the pattern, how
 * its immediates are computed, and its semantics. The decoder, the interpreter, the JIT, the
 * disassembler and the test generator all read this entry and nothing else.
 *
 * A pattern is 32 bits from bit 31 down: runs of 0 and 1, and fields `name:width`. A field's name says what it is:
 *  - `r*` (rd, rn, rm, ra, rt, rt2, rs): general register, 31 is the zero register;
 *  - `r*_sp`: general register, 31 is the stack pointer;
 *  - `v*` (vd, vn, vm, va, vt): SIMD&FP register;
 *  - listed in `variant`: a small number the semantics may branch on (the interpreter has a handler for each value);
 *  - any other field is raw material for `imm` and `when`.
 */
import { assert } from '../../bus/assert.js';
import type { Ops } from '../ops.js';
import type { Val } from '../wasm/body.js';
import type { Reg, RegisterKind } from './operand.js';

type FieldOf<Token extends string> = Token extends `${infer Name}:${string}` ? Name : never;
type FieldsOf<Pattern extends string> = Pattern extends `${infer Head} ${infer Tail}`
  ? FieldOf<Head> | FieldsOf<Tail>
  : FieldOf<Pattern>;
/** Field values of one instruction word, by name. */
export type RawFields = Readonly<Record<string, number>>;

type RegisterName<Name> = Name extends `r${string}` | `v${string}` ? Name : never;

/** What an instruction does to the flow of control, for the region builder. `offset` must be an immediate for the first three. */
export type Flow =
  | 'next' // falls through (or raises an exception)
  | 'jump' // always to pc + offset
  | 'branch' // to pc + offset, or falls through
  | 'call' // to pc + offset, and returns behind
  | 'indirect' // to an address in a register
  | 'indirect-call' // the same, and returns behind
  | 'exit'; // leaves generated code (exception return, system instructions with context effects)

/** The operands a semantics function receives: variants as numbers, registers as handles, immediates as values. */
export type Operands<P extends string, V extends string, I extends string, D extends string> = {
  readonly [K in V]: number;
} & {
  readonly [K in RegisterName<FieldsOf<P>> | D]: Reg;
} & {
  readonly [K in I]: Val;
};

/** Everything beyond name and pattern that an instruction declares. */
interface Declaration<P extends string, V extends string, I extends string, D extends string> {
  /** Fields the semantics branch on. Keep the product of their sizes small: each combination is an interpreter handler. */
  readonly variant?: readonly (V & FieldsOf<P>)[];
  /** Further condition for this entry to be the meaning of a word; words that fail it belong to another entry or are unallocated. */
  readonly when?: (fields: { readonly [K in FieldsOf<P>]: number }) => boolean;
  /** Immediates, at most two. One may be any 64-bit value; of two, each must fit a signed 32-bit number. */
  readonly imm?: { readonly [K in I]: (fields: { readonly [K in FieldsOf<P>]: number }) => bigint | number };
  /** Registers computed from the fields (the second of a pair). */
  readonly derived?: {
    readonly [K in D]: readonly [RegisterKind, (fields: { readonly [K in FieldsOf<P>]: number }) => number];
  };
  /** Default `next`. */
  readonly flow?: Flow;
  /** Needs SIMD&FP access although no `v*` operand shows it. */
  readonly fp?: boolean;
  /** Part of the interpreter's inner loop rather than a called handler: give it to what compiled code runs most. */
  readonly hot?: boolean;
  /** Words the random tests must not draw although they decode (they would leave the test, for example WFI). */
  readonly untested?: boolean;
}

/** A bit field of a pattern. */
export interface PatternField {
  readonly name: string;
  readonly shift: number;
  readonly mask: number;
  readonly width: number;
}

/** A register operand of an instruction. */
interface RegisterOperand {
  readonly name: string;
  readonly kind: RegisterKind;
  readonly number: (fields: RawFields) => number;
}

/** One entry of the instruction table, as its readers see it. */
export interface Instruction {
  readonly name: string;
  /** A word matches when `(word & mask) === value` (as unsigned numbers) and `when` holds. */
  readonly mask: number;
  readonly value: number;
  readonly fields: readonly PatternField[];
  readonly variants: readonly PatternField[];
  /** Number of combinations of variant values. */
  readonly variantCount: number;
  readonly registers: readonly RegisterOperand[];
  readonly immediates: readonly { readonly name: string; readonly compute: (fields: RawFields) => bigint | number }[];
  readonly when: ((fields: RawFields) => boolean) | undefined;
  readonly flow: Flow;
  readonly fp: boolean;
  readonly hot: boolean;
  readonly untested: boolean;
  readonly run: (operands: never, k: Ops) => void;
  /** See {@link readFields}: what it answered last, and for which word. */
  lastFields: Record<string, number> | undefined;
  lastWord: number | undefined;
}

/** The kind a field's name declares, or undefined when it is not a register. */
function registerKind(name: string): RegisterKind | undefined {
  if (name.endsWith('_sp')) return 'xsp';
  if (name.startsWith('r')) return 'x';
  return name.startsWith('v') ? 'v' : undefined;
}

const BITS = /^[01]+$/;

/** What is known of a token of patterns: its bits, or the fields that it stood for. */
interface Token {
  readonly width: number;
  /** All its bits. */
  readonly mask: number;
  readonly value: number;
  /** By the bit where it ended; undefined where the token is bits. */
  readonly fields: (PatternField | undefined)[] | undefined;
}

/** Tokens and register operands that were met before: a table has a thousand patterns of the same few, and each thread that starts makes it. */
const knownTokens = new Map<string, Token>();
const knownRegisters = new Map<string, RegisterOperand>();

function tokenOf(name: string, text: string): Token {
  const colon = text.indexOf(':');
  if (colon < 0) {
    if (!BITS.test(text)) assert(false, `${name}: pattern token ${text} is neither bits nor field:width`);
    return { width: text.length, mask: 2 ** text.length - 1, value: Number.parseInt(text, 2), fields: undefined };
  }
  const width = Number(text.slice(colon + 1));
  return { width, mask: (2 ** width - 1) >>> 0, value: 0, fields: new Array<undefined>(32) };
}

/** The register operand in field `name`; undefined when it is no register. */
function registerIn(name: string): RegisterOperand | undefined {
  const known = knownRegisters.get(name);
  if (known !== undefined) return known;
  const kind = registerKind(name);
  if (kind === undefined) return undefined;
  const operand: RegisterOperand = { name, kind, number: (f) => f[name] ?? 0 };
  knownRegisters.set(name, operand);
  return operand;
}

/** Splits a pattern into its fixed bits and fields; throws when it is not exactly 32 bits. */
function parsePattern(name: string, pattern: string): { mask: number; value: number; fields: PatternField[] } {
  let position = 32;
  let mask = 0;
  let value = 0;
  const fields: PatternField[] = [];
  for (const text of pattern.split(' ')) {
    let token = knownTokens.get(text);
    if (token === undefined) {
      token = tokenOf(name, text);
      knownTokens.set(text, token);
    }
    position -= token.width;
    if (token.fields === undefined) {
      mask |= token.mask << position;
      value |= token.value << position;
    } else {
      const shift = position;
      fields.push(
        (token.fields[shift] ??= {
          name: text.slice(0, text.indexOf(':')),
          shift,
          mask: token.mask,
          width: token.width,
        }),
      );
    }
  }
  if (position !== 0) assert(false, `${name}: pattern covers ${32 - position} bits, not 32`);
  return { mask: mask >>> 0, value: value >>> 0, fields };
}

const NOTHING: readonly never[] = [];

/** Declares an instruction. `run` is its semantics: it is executed once for each translation, never at guest run time. */
export function instruction<
  const P extends string,
  const V extends string = never,
  const I extends string = never,
  const D extends string = never,
>(
  name: string,
  pattern: P,
  declaration: Declaration<P, V, I, D>,
  run: (op: Operands<P, V, I, D>, k: Ops) => void,
): Instruction {
  const { mask, value, fields } = parsePattern(name, pattern);
  const variants = declaration.variant === undefined ? NOTHING : variantsOf(name, declaration.variant, fields);
  const registers: RegisterOperand[] = [];
  for (const field of fields) {
    const operand = registerIn(field.name);
    if (operand !== undefined) registers.push(operand);
  }
  // WHY the casts in this function: the typed view of fields, operands and semantics that a declaration sees is erased
  // here into the untyped table entry; parsePattern has checked that the names are the pattern's own.
  const derived = declaration.derived as
    | Record<string, readonly [RegisterKind, (fields: RawFields) => number]>
    | undefined;
  for (const derivedName in derived) {
    const [kind, number] = derived[derivedName]!;
    registers.push({ name: derivedName, kind, number });
  }
  const imm = declaration.imm as Record<string, (fields: RawFields) => bigint | number> | undefined;
  const immediates =
    imm === undefined ? NOTHING : Object.entries(imm).map(([immName, compute]) => ({ name: immName, compute }));
  // Sentences are put together when they are needed: a thousand instructions are right.
  if (immediates.length > 2) assert(false, `${name}: at most two immediates`);
  if (registers.length > (immediates.length === 0 ? 6 : 4)) {
    assert(false, `${name}: too many register operands for a record`);
  }
  return {
    name,
    mask,
    value,
    fields,
    variants,
    variantCount: variants.reduce((product, field) => product * (field.mask + 1), 1),
    registers,
    immediates,
    when: declaration.when as ((fields: RawFields) => boolean) | undefined,
    flow: declaration.flow ?? 'next',
    fp: declaration.fp === true || registers.some((register) => register.kind === 'v'),
    hot: declaration.hot === true,
    untested: declaration.untested === true,
    run: run as (operands: never, k: Ops) => void,
    lastFields: undefined,
    lastWord: undefined,
  };
}

/** The fields that a declaration names as its variants. */
function variantsOf(name: string, variants: readonly string[], fields: readonly PatternField[]): PatternField[] {
  return variants.map((variant) => {
    const field = fields.find((f) => f.name === variant);
    assert(field !== undefined, `${name}: variant ${variant} is not in the pattern`);
    return field;
  });
}

/** The field values of `word` under `entry`'s pattern. */
export function fieldsOf(entry: Instruction, word: number): RawFields {
  const values: Record<string, number> = {};
  for (const field of entry.fields) values[field.name] = (word >>> field.shift) & field.mask;
  return values;
}

/**
 * The same without making anything: the values are good until the next call for the same entry. For whoever decodes a whole
 * kernel.
 */
export function readFields(entry: Instruction, word: number): RawFields {
  const { fields } = entry;
  if (entry.lastWord === word && entry.lastFields !== undefined) return entry.lastFields;
  entry.lastFields ??= Object.fromEntries(fields.map((field) => [field.name, 0]));
  entry.lastWord = word;
  const values = entry.lastFields;
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i]!;
    values[field.name] = (word >>> field.shift) & field.mask;
  }
  return values;
}
