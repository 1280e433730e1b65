/**
 * A bank of NOR flash with the Intel command set 0001, as a pure model: two 16-bit chips side by side on a 32-bit bus, which
 * get their commands together. It is QEMU's (hw/block/pflash_cfi01.c) as drivers know it: a program replaces bytes, where a
 * real chip only clears bits, and drivers erase first either way. Ours erases when the erase is confirmed, as real chips do.
 *
 * Addresses are offsets within the bank, in bytes.
 */
import { BUFFER_BYTES, CFI_TABLE, IDENTITY, SECTOR_BYTES } from './cfi-table.js';

/** Commands, by the low byte of what is written. */
const COMMAND = {
  readArray: 0x00,
  program: 0x40,
  programAlternate: 0x10,
  erase: 0x20,
  clearStatus: 0x50,
  lock: 0x60,
  readStatus: 0x70,
  readIdentity: 0x90,
  query: 0x98,
  confirm: 0xd0,
  writeBuffer: 0xe8,
} as const;
const LOCK = 0x01;
const LOCK_DOWN = 0x2f;
/** Bits of the status register. */
export const FLASH_STATUS = { ready: 0x80, eraseError: 0x20, programError: 0x10 } as const;

/** Numbers only, so that it can lie in shared memory. */
export interface CfiFlashState {
  /** The command whose answer reads see; 0: the array. */
  command: number;
  /** Writes of the command that were taken already. */
  cycle: number;
  /** Errors, until they are cleared. */
  status: number;
  /** Writes to the buffer that are still to come, less one. */
  counter: number;
  /** Where the write buffer will go. */
  block: number;
}

/** What the model works on. */
export interface CfiFlashParts {
  /** The bank's content. */
  readonly array: Uint8Array;
  /** {@link BUFFER_BYTES}. */
  readonly buffer: Uint8Array;
  /** False: programming and erasing end with an error. */
  readonly isWritable: boolean;
  /** `[offset, offset + bytes)` of the array has changed and is to be kept. */
  store(offset: number, bytes: number, kind: 'program' | 'erase'): void;
  /** Whether everything is kept. Until then the chip is busy. */
  isStored(): boolean;
}

/** See the head of this file. */
export class CfiFlash {
  readonly #parts: CfiFlashParts;
  readonly state: CfiFlashState = { command: COMMAND.readArray, cycle: 0, status: 0, counter: 0, block: 0 };

  constructor(parts: CfiFlashParts) {
    this.#parts = parts;
  }

  /** Whether reads see the array. */
  get isArray(): boolean {
    return this.state.command === COMMAND.readArray;
  }

  /** A load of 1, 2 or 4 bytes. */
  read(offset: number, bytes: number): number {
    switch (this.state.command) {
      case COMMAND.readArray:
        return this.#load(offset, bytes);
      case COMMAND.readIdentity:
        return onBothChips(IDENTITY[(offset >> 2) & 0xff] ?? 0, bytes);
      case COMMAND.query:
        return onBothChips(CFI_TABLE[offset >> 2] ?? 0, bytes);
      default:
        return onBothChips(this.state.status | (this.#parts.isStored() ? FLASH_STATUS.ready : 0), bytes);
    }
  }

  /** A store of the low 1, 2 or 4 bytes of `value`. */
  write(offset: number, bytes: number, value: number): void {
    const { state } = this;
    if (state.cycle === 0) this.#begin(value & 0xff);
    else if (state.command === COMMAND.writeBuffer) this.#fillBuffer(offset, bytes, value);
    else if (state.command === COMMAND.erase) this.#confirmErase(offset, value & 0xff);
    else if (state.command === COMMAND.lock) this.#lock(value & 0xff);
    else {
      state.cycle = 0;
      this.#program(offset, bytes, value);
    }
  }

  #begin(command: number): void {
    const { state } = this;
    switch (command) {
      case COMMAND.program:
      case COMMAND.programAlternate:
      case COMMAND.erase:
      case COMMAND.lock:
      case COMMAND.writeBuffer:
        state.command = command;
        state.cycle = 1;
        return;
      case COMMAND.readStatus:
      case COMMAND.readIdentity:
      case COMMAND.query:
        state.command = command;
        return;
      case COMMAND.clearStatus:
        state.status = 0;
        this.#toArray();
        return;
      default: // FFh, F0h and what there is no command for
        this.#toArray();
    }
  }

  #toArray(): void {
    this.state.command = COMMAND.readArray;
    this.state.cycle = 0;
  }

  #program(offset: number, bytes: number, value: number): void {
    const { array, isWritable } = this.#parts;
    if (!isWritable || offset + bytes > array.length) {
      this.state.status |= FLASH_STATUS.programError;
      return;
    }
    for (let i = 0; i < bytes; i++) array[offset + i] = value >>> (8 * i);
    this.#parts.store(offset, bytes, 'program');
  }

  /** Anything but a confirmation takes the erase back. */
  #confirmErase(offset: number, command: number): void {
    if (command !== COMMAND.confirm) {
      this.#toArray();
      return;
    }
    this.state.cycle = 0;
    if (!this.#parts.isWritable) {
      this.state.status |= FLASH_STATUS.eraseError;
      return;
    }
    const sector = offset - (offset % SECTOR_BYTES);
    this.#parts.array.fill(0xff, sector, sector + SECTOR_BYTES);
    this.#parts.store(sector, SECTOR_BYTES, 'erase');
  }

  /** Blocks cannot be locked; the commands are taken, because drivers unlock before they write. */
  #lock(command: number): void {
    if (command === COMMAND.confirm || command === LOCK || command === LOCK_DOWN) this.state.cycle = 0;
    else this.#toArray();
  }

  /** The count, then that many writes and one more, all within one block, then the confirmation. */
  #fillBuffer(offset: number, bytes: number, value: number): void {
    const { state } = this;
    const { array, buffer, isWritable } = this.#parts;
    if (state.cycle === 1) {
      state.counter = value & 0xffff;
      state.block = offset - (offset % BUFFER_BYTES);
      buffer.set(array.subarray(state.block, state.block + BUFFER_BYTES));
      state.cycle = 2;
    } else if (state.cycle === 2) {
      const at = offset - state.block;
      if (!isWritable || at < 0 || at + bytes > BUFFER_BYTES) state.status |= FLASH_STATUS.programError;
      else for (let i = 0; i < bytes; i++) buffer[at + i] = value >>> (8 * i);
      if (state.counter-- === 0) {
        state.counter = 0;
        state.cycle = 3;
      }
    } else if ((value & 0xff) === COMMAND.confirm && (state.status & FLASH_STATUS.programError) === 0) {
      state.cycle = 0;
      array.set(buffer, state.block);
      this.#parts.store(state.block, BUFFER_BYTES, 'program');
    } else this.#toArray();
  }

  #load(offset: number, bytes: number): number {
    const { array } = this.#parts;
    let value = 0;
    for (let i = bytes - 1; i >= 0; i--) value = (value << 8) | (array[offset + i] ?? 0xff);
    return value >>> 0;
  }
}

/** A chip's answer as a load of `bytes` sees it: on the 16 lines of each. */
function onBothChips(answer: number, bytes: number): number {
  if (bytes === 1) return answer & 0xff;
  return bytes === 2 ? answer : ((answer << 16) | answer) >>> 0;
}
