/** A processor that is powered on. */
import type { Core } from '../../cpu/core.js';
import { STATE } from '../../cpu/state.js';
import { KEEP, type VmBlock } from '../shared-state/vm/vm-block.js';
import type { GenericTimer } from './generic-timer.js';

/** The reset state with what was asked for: registers written while it was off stay (`isPrepared`), pc and x0 too if so asked. */
export function startAt(
  core: Core,
  timer: GenericTimer,
  { entry, context, keep }: NonNullable<ReturnType<VmBlock['takePowerOn']>>,
  isPrepared: boolean,
): void {
  timer.reset();
  const [pc, x0] = [core.get64(STATE.pc), core.get64(STATE.x)];
  if (!isPrepared) core.reset(entry, context);
  core.set64(STATE.pc, (keep & KEEP.pc) === 0 ? entry : pc);
  core.set64(STATE.x, (keep & KEEP.x0) === 0 ? context : x0);
  core.space.contextChanged();
}
