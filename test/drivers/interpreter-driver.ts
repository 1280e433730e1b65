/** Runs test cases on our core: every instruction by its handler, through the interpreter's loop, or compiled. */
import { Core, type CoreLayout, type Interpreter } from '../../cpu/core.js';
import { refreshFpFast } from '../../cpu/fp/helpers.js';
import { buildInterpreter } from '../../cpu/interpreter/build.js';
import { HELPERS } from '../../cpu/interpreter/helpers.js';
import { RECORD_PAGE_BYTES } from '../../cpu/interpreter/record.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';
import { type PhysicalMemory, type Translation, type Translator, WANT } from '../../cpu/mmu/translator.js';
import { EXIT, STATE, VCPU_AREA_BYTES } from '../../cpu/state.js';
import {
  ARENA_AT,
  ARENA_BYTES,
  DATA_AT,
  DATA_BYTES,
  FRAME,
  FRAME_BYTES,
  normalise,
  OUTCOME,
  SLOT_BYTES,
  WINDOW_AT,
  WINDOW_BYTES,
} from './case-frame.js';

const WASM_PAGE = 65536;
const STATE_AT = WASM_PAGE;
const align = (value: number): number => Math.ceil(value / WASM_PAGE) * WASM_PAGE;
const RECORDS_AT = align(STATE_AT + VCPU_AREA_BYTES);
const RECORDS_BYTES = (ARENA_BYTES / 4096 + 2) * RECORD_PAGE_BYTES;
const CODE_HOST = align(RECORDS_AT + RECORDS_BYTES);
const DATA_HOST = CODE_HOST + ARENA_BYTES;
const MEMORY_PAGES = align(DATA_HOST + DATA_BYTES) / WASM_PAGE;

const NO_DEVICES: PhysicalMemory = { frame: () => -1, read: () => undefined, write: () => false };
/** Syndrome of a level 0 translation fault; only that there is one matters here. */
const FAULT_SYNDROME = 0x9200_0004;

/** The arena and the data pages, each page where the program under QEMU has it. */
class CaseTranslator implements Translator {
  /** First virtual address that was refused since the case began, or -1. */
  refused = -1n;
  /** Whether the case tried to write to the blocks themselves: it would change the cases behind it. */
  wroteCode = false;

  translate(lo: number, hi: number, want: number, _user: boolean, result: Translation): boolean {
    const va = (hi & 0xffffff) * 2 ** 32 + (lo >>> 0); // the top byte is ignored, as under Linux
    const inArena = va >= ARENA_AT && va < ARENA_AT + ARENA_BYTES;
    if (inArena && want === WANT.write) this.wroteCode = true;
    else if (inArena || (va >= DATA_AT && va < DATA_AT + DATA_BYTES)) {
      result.ipa = va;
      result.host = inArena ? CODE_HOST + (va - ARENA_AT) : DATA_HOST + (va - DATA_AT);
      result.writable = !inArena;
      return true;
    }
    if (this.refused < 0n) this.refused = (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
    result.syndrome = FAULT_SYNDROME;
    return false;
  }
}

let shared: Interpreter | undefined;
/** The interpreter, compiled once for all drivers of the process. */
function interpreter(): Interpreter {
  if (shared === undefined) {
    const { bytes, numbers } = buildInterpreter(INSTRUCTIONS, HELPERS);
    shared = { module: new WebAssembly.Module(bytes), numbers };
  }
  return shared;
}

/** Runs cases one after the other; see the head of this file. */
export interface Driver {
  readonly name: string;
  /** Loads the arena's image and clears the data pages: call before the cases that use it. */
  load(image: Uint32Array): void;
  /** Compiles the first `slots` blocks of the arena, where the driver compiles: at once, in few modules. */
  prepare?(slots: number): void;
  /** Executes the case in `input` (frame at byte `at`) and leaves its result in `output` at the same place. */
  run(input: DataView, output: DataView, at: number): void;
}

/** See the head of this file. */
export class InterpreterDriver implements Driver {
  readonly name: string;
  readonly #loop: boolean;
  readonly #jit: boolean;
  readonly #core: Core;
  readonly #bytes: Uint8Array;
  /** The data pages before and behind the window. */
  readonly #outside: readonly Int32Array[];
  readonly #translator = new CaseTranslator();

  constructor(mode: 'handlers' | 'loop' | 'jit') {
    this.name = mode;
    this.#loop = mode !== 'handlers';
    this.#jit = mode === 'jit';
    const memory = new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES, shared: true });
    const layout: CoreLayout = { state: STATE_AT, arena: RECORDS_AT, arenaBytes: RECORDS_BYTES };
    this.#core = new Core(memory, layout, interpreter(), NO_DEVICES, this.#translator);
    this.#bytes = new Uint8Array(memory.buffer);
    const window = DATA_HOST + (WINDOW_AT - DATA_AT);
    const words = (from: number, end: number): Int32Array => new Int32Array(memory.buffer, from, (end - from) / 4);
    this.#outside = [words(DATA_HOST, window), words(window + WINDOW_BYTES, DATA_HOST + DATA_BYTES)];
  }

  /** The first address the last case could not access, or -1. */
  get refused(): bigint {
    return this.#translator.refused;
  }

  /** Whether the last case tried to write to the arena (which is refused here, but not by the program under QEMU). */
  get wroteCode(): boolean {
    return this.#translator.wroteCode;
  }

  load(image: Uint32Array): void {
    this.#bytes.set(new Uint8Array(image.buffer, image.byteOffset, image.byteLength), CODE_HOST);
    for (let page = 0; page < ARENA_BYTES; page += 4096) this.#core.pages.invalidate(CODE_HOST + page);
    this.#bytes.fill(0, DATA_HOST, DATA_HOST + DATA_BYTES);
  }

  /** Inverts every bit of the data pages outside of the window, which no case brings with it. */
  invertOutside(): void {
    for (const words of this.#outside) {
      for (let i = 0; i < words.length; i++) words[i] = ~(words[i] ?? 0);
    }
  }

  prepare(slots: number): void {
    this.compile(Array.from({ length: slots }, (_, slot) => ARENA_AT + slot * SLOT_BYTES + 4));
  }

  /** Compiles regions that are entered at each of `addresses`, where the driver compiles. */
  compile(addresses: readonly number[]): void {
    if (!this.#jit) return;
    for (const pc of addresses) this.#request(pc);
    this.#core.jit?.compileQueue();
  }

  /** Asks for a region that starts at `pc`, unless there is one. */
  #request(pc: number): void {
    const host = CODE_HOST + (pc - ARENA_AT);
    this.#core.jit?.request(this.#core.pages.pageAt(host & ~0xfff), host & 0xfff);
  }

  /** `start`: the word of the block at which to begin. */
  run(input: DataView, output: DataView, at: number, start = 0): void {
    const core = this.#core;
    const view = core.view;
    const source = new Uint8Array(input.buffer, input.byteOffset + at, FRAME_BYTES);
    const words = input.getUint32(at + FRAME.words, true);
    const slotAt = Number(input.getBigUint64(at + FRAME.pc, true));
    const first = slotAt + 4 + start * 4;
    const end = slotAt + 4 + words * 4;
    this.#bytes.set(source.subarray(FRAME.x, FRAME.pc), STATE_AT + STATE.x);
    this.#bytes.set(source.subarray(FRAME.v, FRAME.window), STATE_AT + STATE.v);
    this.#bytes.set(source.subarray(FRAME.window), DATA_HOST + (WINDOW_AT - DATA_AT));
    const nzcv = input.getInt32(at + FRAME.nzcv, true);
    core.set64(STATE.flagN, BigInt.asUintN(64, BigInt(nzcv)));
    core.set64(STATE.flagZ, (nzcv & (1 << 30)) === 0 ? 1n : 0n);
    core.set32(STATE.flagC, (nzcv >>> 29) & 1);
    core.set64(STATE.flagV, (nzcv & (1 << 28)) === 0 ? 0n : 1n << 63n);
    const fpcr = input.getInt32(at + FRAME.fpcr, true);
    const fpsr = input.getInt32(at + FRAME.fpsr, true);
    core.set32(STATE.fpcr, fpcr);
    core.set32(STATE.fpsr, fpsr);
    refreshFpFast(view, STATE_AT);
    core.set64(STATE.monitorAddress, 0xffff_ffff_ffff_ffffn);
    core.set64(STATE.pc, BigInt(first));
    this.#translator.refused = -1n;
    this.#translator.wroteCode = false;
    if (this.#jit) {
      this.#request(first);
      this.#core.jit?.compileQueue();
    }
    const reason = this.#loop ? core.run(1 << 24) : this.#steps(first, end);
    const result = new Uint8Array(output.buffer, output.byteOffset + at, FRAME_BYTES);
    result.set(this.#bytes.subarray(STATE_AT + STATE.x, STATE_AT + STATE.x + FRAME.pc), FRAME.x);
    result.set(this.#bytes.subarray(STATE_AT + STATE.v, STATE_AT + STATE.v + 512), FRAME.v);
    const window = DATA_HOST + (WINDOW_AT - DATA_AT);
    result.set(this.#bytes.subarray(window, window + WINDOW_BYTES), FRAME.window);
    output.setBigUint64(at + FRAME.pc, core.get64(STATE.pc), true);
    const n = view.getInt32(STATE_AT + STATE.flagN + 4, true) < 0 ? 0x8000_0000 : 0;
    const z = core.get64(STATE.flagZ) === 0n ? 1 << 30 : 0;
    const v = view.getInt32(STATE_AT + STATE.flagV + 4, true) < 0 ? 1 << 28 : 0;
    output.setUint32(at + FRAME.nzcv, (n | z | (core.get32(STATE.flagC) << 29) | v) >>> 0, true);
    output.setInt32(at + FRAME.fpcr, core.get32(STATE.fpcr), true);
    output.setInt32(at + FRAME.fpsr, core.get32(STATE.fpsr), true);
    const outcome =
      reason === EXIT.undefined
        ? OUTCOME.undefined
        : reason === EXIT.exception
          ? OUTCOME.memoryFault
          : reason === EXIT.pause
            ? OUTCOME.endless
            : OUTCOME.other;
    normalise(output, at, slotAt, words, outcome);
  }

  /** Executes by handlers until the block is left; a block that goes back to its own start does not end. */
  #steps(first: number, end: number): number {
    for (let executed = 0; executed < end - first; executed++) {
      const reason = this.#core.step();
      if (reason !== EXIT.next) return reason;
      const pc = Number(this.#core.get64(STATE.pc));
      if (pc < first || pc >= end) return EXIT.next;
    }
    return EXIT.pause;
  }
}
