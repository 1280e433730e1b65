/** What the scanner demands of generated code, by name, and how it reports code that falls short. */

/** Every rule, with the sentence a person reads when a module breaks it. The proofs behind them: README.md. */
export const RULES = {
  malformed: 'the bytes do not decode as a WebAssembly module',
  size: 'the module exceeds a limit of the scanner',
  section: 'only type, import, function, table, export, element and code sections are allowed',
  table: 'the one table has places for all own functions, and one segment fills it with own functions',
  import: 'only env.memory (shared, once) and the allow-listed functions may be imported',
  signature: 'a generated function takes the state block (i32) and returns an i32',
  export: 'only own functions may be exported',
  operator: 'the operator is not one generated code may use',
  blockType: 'blocks, loops and ifs take and leave nothing on the operand stack',
  stack: 'an operator takes more operands than its block has pushed',
  index: 'a local, label or function index is out of range',
  stateAssigned: 'parameter 0, the state block, must never be assigned',
  stateLoad: 'a load from the state block must lie inside it',
  stateStore: 'a store to the state block must lie inside the fields generated code may write',
  callTarget: 'only allow-listed imports may be called',
  callArgument: 'the first argument of a call must be the state block',
  tlbLocal: 'a local relied on as TLB base must hold nothing but loads of STATE.tlb or STATE.tlbUser',
  tlbField: 'of a TLB entry only the tags (i64) and the addend (i32) may be loaded, and nothing stored',
  address: 'the address is neither the state block, nor a TLB entry, nor low 32 bits of an address plus an addend',
  unchecked: 'no comparison with the TLB entry whose addend is used dominates the access',
  stale: 'a call or a loop lies between the check of the TLB entry (or the load of its addend) and the access',
  tag: 'a store needs a check of the write tag, not of the read tag',
  remembered:
    'locals of a remembered page are assigned together behind a check, or forgotten, which every call demands',
  range: 'the dominating check does not cover every byte of the access',
} as const;
/** Name of a rule. */
export type Rule = keyof typeof RULES;

/** Why a module must not be instantiated. */
export interface Refusal {
  readonly rule: Rule;
  /** Index of the function in the module's index space (imports first), or -1 outside the code section. */
  readonly functionIndex: number;
  /** Byte offset in the module of the operator or section at fault. */
  readonly offset: number;
}

/** A refusal as one sentence. */
export function describeRefusal({ rule, functionIndex, offset }: Refusal): string {
  const where = functionIndex < 0 ? `byte ${offset}` : `function ${functionIndex}, byte ${offset}`;
  return `generated code refused at ${where}: ${RULES[rule]} (${rule})`;
}
