/**
 * What the core asks of the thread that runs a virtual processor: its registers, between two runs of guest code, and to
 * start. Values are 16 bytes each, little-endian, in the order of `names` (HV_REGISTER_NAME codes).
 */
import type { Ask } from '../runtime/protocol.js';

/** Why registers were refused; nothing was changed. */
export type RegisterFault = 'unknownRegister' | 'badArgument';

/** See the head of this file. */
export type ProcessorProtocol = {
  getRegisters: Ask<{ names: readonly number[] }, { values: Uint8Array }, RegisterFault>;
  setRegisters: Ask<{ names: readonly number[]; values: Uint8Array }, undefined, RegisterFault>;
  /** Starts a processor that is off where its registers say. */
  start: Ask<object, undefined, 'badState'>;
};
