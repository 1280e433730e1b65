/** What the console of the machine that makes a root file system tells: how far it is, how it ended, and whether it still does anything. */
import type { Report } from '../package-source.js';
import { BUILD_MARK, CHECKPOINT_BYTES } from './build-script.js';

/** Lines of the console that a failure shows. */
const LINES_SHOWN = 12;
const CONSOLE_BYTES_MAX = 64 * 1024;
const LINE_CHARS_MAX = 4096;
/** Lines that tell that it goes on: the script's, dpkg's and tar's. */
const PROGRESS = new RegExp(`^(?:${BUILD_MARK}|(?:status|processing): )|gnu-tar: checkpoint \\d+$`);
/** As dpkg names them on its status descriptor, and what a person calls them. */
const STAGES: ReadonlyMap<string, string> = new Map([
  ['preinst', 'preparing'],
  ['configure', 'setting up'],
  ['trigproc', 'bringing up to date what belongs to'],
]);

/** What there is to do. */
export interface BuildWork {
  readonly packages: number;
  /** Packages whose preinst is run. */
  readonly preinsts: number;
  readonly payloadBytes: number;
}

/** See the head of this file. `now` is milliseconds. */
export class BuildProgress {
  readonly #work: BuildWork;
  readonly #report: Report;
  readonly #now: () => number;
  #line = '';
  #tail = '';
  #step = 'starting a machine';
  #detail: string | undefined;
  #fraction: number | undefined;
  #done = 0;
  #since: number;
  #movedAt: number;
  failure: string | undefined;
  isDone = false;

  constructor(work: BuildWork, report: Report, now: () => number) {
    this.#work = work;
    this.#report = report;
    this.#now = now;
    this.#since = now();
    this.#movedAt = this.#since;
    this.tick();
  }

  /** Takes what the guest printed. */
  take(bytes: Uint8Array): void {
    const text = Buffer.from(bytes).toString('latin1').replaceAll('\r', '');
    this.#tail = (this.#tail + text).slice(-CONSOLE_BYTES_MAX);
    const lines = (this.#line + text).split('\n');
    this.#line = (lines.pop() ?? '').slice(-LINE_CHARS_MAX);
    for (const line of lines) this.#takeLine(line);
  }

  #takeLine(line: string): void {
    if (!PROGRESS.test(line)) return;
    this.#movedAt = this.#now();
    const [, stage = '', name = ''] = /^processing: (\w+): (\S+)$/.exec(line) ?? [];
    const verb = STAGES.get(stage);
    const checkpoint = /gnu-tar: checkpoint (\d+)$/.exec(line)?.[1];
    if (verb !== undefined) {
      const steps = Math.max(1, this.#work.packages + this.#work.preinsts);
      if (stage !== 'trigproc') this.#done = Math.min(this.#done + 1, steps);
      this.#at(this.#step, this.#done / steps, `${verb} ${name.split(':')[0]}`);
    } else if (checkpoint !== undefined) {
      const part = (Number(checkpoint) * CHECKPOINT_BYTES) / Math.max(1, this.#work.payloadBytes);
      this.#at(this.#step, Math.min(1, part), undefined);
    }
    if (!line.startsWith(BUILD_MARK)) return;
    const [word = '', ...rest] = line.slice(BUILD_MARK.length).split(' ');
    if (word === 'step') this.#at(rest.join(' '), undefined, undefined);
    else if (word === 'failed') this.failure ??= rest.join(' ');
    else if (word === 'done') this.isDone = true;
  }

  #at(step: string, fraction: number | undefined, detail: string | undefined): void {
    this.#step = step;
    this.#fraction = fraction;
    this.#detail = detail;
    this.#since = this.#now();
    this.tick();
  }

  /** To be called now and then: a guest that is busy with one thing for long is told of, too. */
  tick(): void {
    const seconds = Math.floor((this.#now() - this.#since) / 1000);
    const long = seconds < 5 ? '' : `for ${seconds} s`;
    const detail = [this.#detail, long].filter((part) => part !== undefined && part !== '').join(' ');
    this.#report(this.#step, this.#fraction, detail === '' ? undefined : detail);
  }

  /** What it is at, for a sentence. */
  get activity(): string {
    return this.#detail === undefined ? this.#step : `${this.#step}, ${this.#detail}`;
  }

  /** Milliseconds since the build went on; what else the guest says (its kernel's complaints) is no progress. */
  get stillMs(): number {
    return this.#now() - this.#movedAt;
  }

  /** The last lines the guest printed, for a person. */
  lastLines(): string {
    const lines = this.#tail.split('\n').filter((line) => line !== '' && !PROGRESS.test(line));
    return lines.slice(-LINES_SHOWN).join('\n');
  }
}
