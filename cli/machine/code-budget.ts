/** The bound on compiled code as text: for tests of eviction, and for hosts with little memory. */
import type { CodeBudget } from '../../cpu/jit/region-store.js';

const KIB_MAX = 1 << 20;
const MODULES_MAX = 10_000;

/** `KIB` or `KIB:MODULES` for each virtual processor (WURLEY_JIT_BUDGET); undefined for anything else. */
export function codeBudgetOf(text: string | undefined): CodeBudget | undefined {
  const [, kib = '', modules = '1000'] = /^(\d{1,7})(?::(\d{1,5}))?$/.exec(text ?? '') ?? [];
  if (kib === '' || Number(kib) > KIB_MAX || Number(modules) > MODULES_MAX) return undefined;
  return { bytesMax: Number(kib) * 1024, modulesMax: Math.max(1, Number(modules)) };
}
