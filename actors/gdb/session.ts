/**
 * One debugger's session: what GDB asks (GDB manual, "Packets") and what it is told, over a target that can be stopped. Pure of
 * sockets and actors. All vCPUs stop together; threads are numbered from 1, thread n being vCPU n - 1.
 */
import { fromHex, PACKET_MAX, toHex } from './packets.js';
import { Points } from './points.js';
import { NUMBER, targetXml } from './target-description.js';

/** What GDB is told when the machine stops. */
export interface StopEvent {
  readonly cpu: number;
  readonly reason: 'breakpoint' | 'watchpoint' | 'step' | 'interrupt';
  readonly watchpoint?: { readonly address: bigint; readonly accesses: number };
}

/** What a vCPU is to do when the machine goes on. */
export type Action = 'run' | 'step' | 'stay';

/** The machine as a session sees it. Registers and memory only while it stands still. */
export interface GdbTarget {
  readonly cpus: number;
  /** Names of the system registers, by number from 0. */
  readonly system: readonly string[];
  /** x0 to x30, sp, pc (8 bytes each), PSTATE (4), v0 to v31 (16 each), FPSR, FPCR (4 each). */
  registers(cpu: number): Promise<Uint8Array | undefined>;
  setRegisters(cpu: number, file: Uint8Array): Promise<boolean>;
  systemRegister(cpu: number, index: number): Promise<bigint | undefined>;
  setSystemRegister(cpu: number, index: number, value: bigint): Promise<boolean>;
  /** Bytes at a virtual address; fewer where memory ends, undefined where there is none. */
  read(cpu: number, address: bigint, bytes: number): Promise<Uint8Array | undefined>;
  write(cpu: number, address: bigint, bytes: Uint8Array): Promise<boolean>;
  setPoints(points: Points): Promise<void>;
  /** Lets each vCPU do what `actions` says at its index. */
  go(actions: readonly Action[]): Promise<void>;
  /** Returns when all vCPUs stand still. */
  stopAll(): Promise<void>;
  /** Ends the machine. */
  kill(): void;
  /** Whether a vCPU is powered on. */
  isOn(cpu: number): boolean;
}

const OK = 'OK';
const FAULT = 'E0e';
const BAD = 'E16';
const UNKNOWN = '';
const SIGNALS = { interrupt: '02', other: '05' } as const;
const WATCH_NAMES: Readonly<Record<number, string>> = { 1: 'rwatch', 2: 'watch', 3: 'awatch' };
/** Bytes of registers that `g` carries: all but the system registers. */
const FILE_BYTES = 33 * 8 + 4 + 32 * 16 + 8;
const HELP = 'The machine is debugged through vCPUs as threads; "info registers system" shows system registers.\n';

/** Place of register `number` in the register file, or undefined for system registers. */
function placeOf(number: number): { readonly at: number; readonly bytes: number } | undefined {
  if (number < NUMBER.cpsr) return { at: number * 8, bytes: 8 };
  if (number === NUMBER.cpsr) return { at: 264, bytes: 4 };
  if (number < NUMBER.fpsr) return { at: 268 + (number - NUMBER.v0) * 16, bytes: 16 };
  return number < NUMBER.system ? { at: 780 + (number - NUMBER.fpsr) * 4, bytes: 4 } : undefined;
}

/** See the head of this file. */
export class GdbSession {
  readonly #target: GdbTarget;
  readonly #send: (text: string) => void;
  readonly #points = new Points();
  readonly #description: Buffer;
  #running = false;
  /** vCPU of register and memory packets. */
  #selected = 0;
  #last: StopEvent = { cpu: 0, reason: 'interrupt' };
  /** GDB wants no more acknowledgements. */
  quiet = false;
  /** GDB has detached or killed: the connection is to be closed. */
  over = false;

  /** `send` sends a packet with this text. */
  constructor(target: GdbTarget, send: (text: string) => void) {
    this.#target = target;
    this.#send = send;
    this.#description = Buffer.from(targetXml(target.system));
  }

  /** The connection exists: the machine stops. */
  async attach(): Promise<void> {
    await this.#target.stopAll();
  }

  /** The connection is gone: the machine goes on as if nobody had been there. */
  async leave(): Promise<void> {
    this.#points.clear();
    await this.#target.setPoints(this.#points);
    await this.#goAll('run');
  }

  /** The user pressed Ctrl-C. */
  async interrupt(): Promise<void> {
    if (this.#running) await this.stopped({ cpu: this.#selected, reason: 'interrupt' });
  }

  /** A vCPU stopped by itself, or the user wants it to: everything stops, and GDB is told. */
  async stopped(event: StopEvent): Promise<void> {
    // Another one stopped in the same moment: it stands where it does, and stops again as soon as it goes on.
    if (!this.#running) return;
    this.#running = false;
    await this.#target.stopAll();
    this.#last = event;
    this.#selected = event.cpu;
    this.#send(this.#stopReply());
  }

  /** The machine has ended, with this exit code. */
  ended(code: number): void {
    this.#running = false;
    this.over = true;
    this.#send(`W${(code & 0xff).toString(16).padStart(2, '0')}`);
  }

  /** Acts on a packet and answers it (a packet that lets the machine go on is answered when it stops). */
  async packet(text: string): Promise<void> {
    const answer = await this.#answer(text);
    if (answer !== undefined) this.#send(answer);
  }

  async #answer(text: string): Promise<string | undefined> {
    const rest = text.slice(1);
    switch (text[0]) {
      case '?':
        return this.#stopReply();
      case 'g':
        return this.#readAll();
      case 'G':
        return this.#writeAll(fromHex(rest));
      case 'p':
        return this.#readRegister(Number.parseInt(rest, 16));
      case 'P':
        return this.#writeRegister(rest);
      case 'm':
        return this.#readMemory(rest);
      case 'M':
      case 'X':
        return this.#writeMemory(rest, text[0] === 'X');
      case 'H':
        return this.#select(rest);
      case 'T':
        return this.#threadOf(rest) === undefined ? BAD : OK;
      case 'z':
      case 'Z':
        return this.#point(text[0] === 'Z', rest);
      case 'c':
      case 's':
        return this.#goOne(rest, text[0] === 's');
      case 'v':
        return this.#verbose(text);
      case 'q':
      case 'Q':
        return this.#query(text);
      case 'D':
        this.over = true;
        return OK;
      case 'k':
        this.over = true;
        this.#target.kill();
        return undefined;
      default:
        return UNKNOWN;
    }
  }

  #stopReply(): string {
    const { cpu, reason, watchpoint } = this.#last;
    const signal = reason === 'interrupt' ? SIGNALS.interrupt : SIGNALS.other;
    const watched =
      watchpoint === undefined ? '' : `${WATCH_NAMES[watchpoint.accesses]}:${watchpoint.address.toString(16)};`;
    return `T${signal}${watched}thread:${(cpu + 1).toString(16)};`;
  }

  // ---- registers ----

  async #readAll(): Promise<string> {
    const file = await this.#target.registers(this.#selected);
    return file === undefined ? FAULT : toHex(file);
  }

  async #writeAll(bytes: Uint8Array | undefined): Promise<string> {
    if (bytes === undefined || bytes.length < FILE_BYTES) return BAD;
    return (await this.#target.setRegisters(this.#selected, bytes.subarray(0, FILE_BYTES))) ? OK : FAULT;
  }

  async #readRegister(number: number): Promise<string> {
    if (!(number >= 0 && number < NUMBER.system + this.#target.system.length)) return BAD;
    const place = placeOf(number);
    if (place === undefined) {
      const value = await this.#target.systemRegister(this.#selected, number - NUMBER.system);
      return value === undefined ? 'x'.repeat(16) : toHex(new Uint8Array(BigUint64Array.of(value).buffer));
    }
    const file = await this.#target.registers(this.#selected);
    return file === undefined ? FAULT : toHex(file.subarray(place.at, place.at + place.bytes));
  }

  async #writeRegister(text: string): Promise<string> {
    const [name = '', digits = ''] = text.split('=');
    const number = Number.parseInt(name, 16);
    const bytes = fromHex(digits);
    if (bytes === undefined || !(number >= 0)) return BAD;
    const place = placeOf(number);
    if (place === undefined) {
      if (bytes.length !== 8) return BAD;
      const value = new DataView(bytes.buffer).getBigUint64(0, true);
      return (await this.#target.setSystemRegister(this.#selected, number - NUMBER.system, value)) ? OK : FAULT;
    }
    const file = await this.#target.registers(this.#selected);
    if (file === undefined || bytes.length !== place.bytes) return file === undefined ? FAULT : BAD;
    file.set(bytes, place.at);
    return (await this.#target.setRegisters(this.#selected, file)) ? OK : FAULT;
  }

  // ---- memory ----

  async #readMemory(text: string): Promise<string> {
    const found = /^([0-9a-f]{1,16}),([0-9a-f]{1,6})$/i.exec(text);
    if (found === null) return BAD;
    const bytes = Math.min(Number.parseInt(found[2] ?? '', 16), PACKET_MAX / 2);
    const read = await this.#target.read(this.#selected, BigInt(`0x${found[1]}`), bytes);
    return read === undefined ? FAULT : toHex(read);
  }

  async #writeMemory(text: string, isBinary: boolean): Promise<string> {
    const found = /^([0-9a-f]{1,16}),([0-9a-f]{1,6}):([\s\S]*)$/i.exec(text);
    if (found === null) return BAD;
    const bytes = isBinary ? new Uint8Array(Buffer.from(found[3] ?? '', 'latin1')) : fromHex(found[3] ?? '');
    if (bytes === undefined || bytes.length !== Number.parseInt(found[2] ?? '', 16)) return BAD;
    if (bytes.length === 0) return OK;
    return (await this.#target.write(this.#selected, BigInt(`0x${found[1]}`), bytes)) ? OK : FAULT;
  }

  async #point(inserts: boolean, text: string): Promise<string> {
    const changed = this.#points.change(inserts, text);
    if (changed === 'unknown') return UNKNOWN;
    if (changed === 'refused') return BAD;
    await this.#target.setPoints(this.#points);
    return OK;
  }

  // ---- threads and going on ----

  /** vCPU of a thread number; `-1` and `0` are any thread. */
  #threadOf(text: string): number | undefined {
    if (text === '-1' || text === '0') return this.#selected;
    const cpu = Number.parseInt(text, 16) - 1;
    return cpu >= 0 && cpu < this.#target.cpus ? cpu : undefined;
  }

  #select(text: string): string {
    const cpu = this.#threadOf(text.slice(1));
    if (cpu === undefined) return BAD;
    if (text[0] === 'g') this.#selected = cpu;
    return OK;
  }

  async #goAll(action: Action): Promise<void> {
    await this.#go(new Array<Action>(this.#target.cpus).fill(action));
  }
  async #go(actions: readonly Action[]): Promise<void> {
    this.#running = true;
    await this.#target.go(actions);
  }

  /** `c` and `s`, with an address to go on from. */
  async #goOne(address: string, step: boolean): Promise<string | undefined> {
    if (address !== '') {
      const bytes = new Uint8Array(BigUint64Array.of(BigInt(`0x${address.replace(/[^0-9a-f]/gi, '') || '0'}`)).buffer);
      await this.#writeRegister(`${NUMBER.pc.toString(16)}=${toHex(bytes)}`);
    }
    if (!step) await this.#goAll('run');
    else
      await this.#go(Array.from({ length: this.#target.cpus }, (_, cpu) => (cpu === this.#selected ? 'step' : 'stay')));
    return undefined;
  }

  async #verbose(text: string): Promise<string | undefined> {
    if (text === 'vCont?') return 'vCont;c;C;s;S';
    if (text.startsWith('vKill')) {
      this.over = true;
      this.#target.kill();
      return OK;
    }
    if (!text.startsWith('vCont;')) return UNKNOWN;
    const actions = new Array<Action>(this.#target.cpus).fill('stay');
    const decided = new Set<number>();
    for (const part of text.slice('vCont;'.length).split(';')) {
      const found = /^([cs])(?::(-1|[0-9a-f]+))?$|^[CS][0-9a-f]{2}(?::(-1|[0-9a-f]+))?$/i.exec(part);
      if (found === null) return BAD;
      const action: Action = /^s/i.test(part) ? 'step' : 'run';
      const thread = found[2] ?? found[3] ?? '-1';
      for (let cpu = 0; cpu < actions.length; cpu++) {
        if (decided.has(cpu) || (thread !== '-1' && Number.parseInt(thread, 16) !== cpu + 1)) continue;
        decided.add(cpu);
        actions[cpu] = action;
      }
    }
    if (decided.size === 0) return BAD;
    await this.#go(actions);
    return undefined;
  }

  #threads(): string {
    const one = (_: unknown, cpu: number): string =>
      `<thread id="${(cpu + 1).toString(16)}" core="${cpu}" name="cpu${cpu}">${this.#target.isOn(cpu) ? 'on' : 'off'}</thread>`;
    return `<?xml version="1.0"?><threads>${Array.from({ length: this.#target.cpus }, one).join('')}</threads>`;
  }

  #query(text: string): string {
    const transfer = /^qXfer:(features|threads):read:([^:]*):([0-9a-f]+),([0-9a-f]+)$/.exec(text);
    if (transfer !== null) {
      const [, what, annex, at = '', bytes = ''] = transfer;
      if (what === 'features' && annex !== 'target.xml') return 'E00';
      const whole = what === 'features' ? this.#description : Buffer.from(this.#threads());
      return part(whole, Number.parseInt(at, 16), Number.parseInt(bytes, 16));
    }
    const [name = ''] = text.split(/[:;,]/);
    switch (name) {
      case 'qSupported':
        return `PacketSize=${PACKET_MAX.toString(16)};qXfer:features:read+;qXfer:threads:read+;QStartNoAckMode+;vContSupported+`;
      case 'QStartNoAckMode':
        this.quiet = true;
        return OK;
      case 'qAttached':
        return '1';
      case 'qC':
        return `QC${(this.#selected + 1).toString(16)}`;
      case 'qfThreadInfo':
        return `m${Array.from({ length: this.#target.cpus }, (_, cpu) => (cpu + 1).toString(16)).join(',')}`;
      case 'qsThreadInfo':
        return 'l';
      case 'qThreadExtraInfo': {
        const cpu = this.#threadOf(text.slice(name.length + 1));
        if (cpu === undefined) return BAD;
        return toHex(Buffer.from(`vCPU ${cpu} ${this.#target.isOn(cpu) ? 'on' : 'off'}`));
      }
      case 'qSymbol':
        return OK;
      case 'qRcmd':
        return toHex(Buffer.from(HELP));
      default:
        return UNKNOWN;
    }
  }
}

/** A part of a document, marked as the last one or not. */
function part(whole: Buffer, at: number, bytes: number): string {
  const length = Math.min(bytes, PACKET_MAX / 2);
  const text = whole.subarray(at, at + length).toString('latin1');
  return `${at + length >= whole.length ? 'l' : 'm'}${text}`;
}
