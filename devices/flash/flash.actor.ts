/**
 * The keeper of a flash bank: writes what the guest programmed or erased to the bank's file. The chip is busy until the file
 * has it, so what the guest was told is written survives our process; a moment later, and before the machine's end is told,
 * it is on stable storage. Content and change lie in shared memory: a successor goes on where a dead keeper left off.
 */
import { actor, actorKind } from '../../actors/runtime/actor.js';
import type { FileHandle, FileToken } from '../../actors/runtime/files.js';
import { MACHINE_HANDLER_BUDGET_MS } from '../../actors/runtime/limits.js';
import type { Ask } from '../../actors/runtime/protocol.js';
import { assert } from '../../bus/assert.js';
import { ok } from '../../bus/result.js';
import { FLASH_STATUS } from './cfi-flash.js';
import { BANK_BYTES } from './cfi-table.js';
import { FlashBlock, type FlashShared } from './flash-block.js';

/** What the keeper is started with. */
export interface FlashConfig {
  readonly shared: FlashShared;
  /** The machine's memory, and where the bank's content lies in it. */
  readonly memory: WebAssembly.Memory;
  readonly host: number;
  /** The bank's file, of {@link BANK_BYTES}. */
  readonly file: FileToken;
}

/** Its messages; whoever changes the bank rings it. */
export type FlashProtocol = {
  /** Answered when everything that was written is on stable storage, or cannot be. */
  flush: Ask<object, { isStored: boolean }>;
};

interface FlashState {
  readonly block: FlashBlock;
  readonly array: Uint8Array;
  readonly file: FileHandle;
  /** Written since the last time it was made stable. */
  isDirty: boolean;
  isTimed: boolean;
}

/** A burst of writes is made stable at once, this long after its first. */
const STABLE_MS = 100;

/** Keeps the change there is. */
function keep(state: FlashState, warn: (text: string) => void): void {
  const change = state.block.change();
  if (change === undefined) return;
  const { offset, bytes, kind } = change;
  assert(offset >= 0 && bytes > 0 && offset + bytes <= BANK_BYTES, 'a change lies in its bank');
  const written = state.file.write(offset, state.array.subarray(offset, offset + bytes));
  if (!written.ok) warn(`the flash cannot be kept (${written.error.detail})`);
  state.isDirty = true;
  const fault = kind === 'erase' ? FLASH_STATUS.eraseError : FLASH_STATUS.programError;
  state.block.kept(written.ok ? 0 : fault);
}

function makeStable(state: FlashState): boolean {
  if (!state.isDirty) return true;
  state.isDirty = !state.file.syncData().ok;
  return !state.isDirty;
}

const flash = actor<FlashConfig, FlashProtocol, FlashState>({
  name: 'flash',
  mailboxMax: 16,
  handlerBudgetMs: MACHINE_HANDLER_BUDGET_MS,
  supervision: { strategy: 'one-for-one', restartsMax: 10, withinMs: 10_000, otherwise: 'stop' },
  start({ shared, memory, host, file }, context) {
    const array = new Uint8Array(memory.buffer, host, BANK_BYTES);
    // A predecessor may have taken the bell along, and not made stable what it wrote.
    if (context.incarnation > 0) context.ring(context.self, 1);
    const isDirty = context.incarnation > 0;
    return ok({ block: new FlashBlock(shared.block), array, file: context.file(file), isDirty, isTimed: false });
  },
  on: {
    flush(state, _, context) {
      keep(state, (text) => context.log.warn(text));
      return ok({ isStored: makeStable(state) });
    },
  },
  rang(state, _flags, context) {
    keep(state, (text) => context.log.warn(text));
    if (state.isTimed || !state.isDirty) return;
    state.isTimed = true;
    context.after(STABLE_MS, () => {
      state.isTimed = false;
      if (!makeStable(state)) context.log.warn('the flash could not be made stable');
    });
  },
  stop(state) {
    makeStable(state);
  },
});
export default flash;

/** How its worker is made. */
export const flashKind = actorKind(flash, { module: new URL(import.meta.url), heapMegabytesMax: 32 });
