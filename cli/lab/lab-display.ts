/**
 * A lab on a terminal or in a pipe: every VM's console line by line behind its name, what happens to VMs, and, on a terminal, a
 * line for each VM at the bottom that says how it is doing. What guests print may colour itself but not move the cursor.
 */
import { Subscription } from 'rxjs';
import type { LabStatistics } from './lab-statistics.js';
import type { Member, RunningLab } from './running-lab.js';
import { spanText } from './table.js';

/** Where it is shown. */
export interface DisplayOptions {
  readonly isTTY: boolean;
  readonly columns: number;
  /** Consoles are not shown, only what happens to VMs. */
  readonly isQuiet: boolean;
  write(text: string): void;
}

/** A line without its end is shown after so long: a prompt. */
const PARTIAL_MS = 250;
const LINE_CHARACTERS_MAX = 4096;
const COLOURS = [36, 33, 32, 35, 34, 31] as const;
const ESC = '\u001b';
/** Colours stay; other escape sequences and control characters go. */
const SEQUENCES = new RegExp(
  `${ESC}\\[[0-9;?]*[A-Za-ln-z@\`]|${ESC}\\][^\u0007${ESC}]*(?:\u0007|${ESC}\\\\)|${ESC}[^[\\]]`,
  'g',
);
const CONTROLS = new RegExp(
  `(?:(?!${ESC}\\[[0-9;]*m)${ESC})|[\\u0000-\\u0008\\u000b-\\u001a\\u001c-\\u001f\\u007f]`,
  'g',
);

/** What of a guest's line may reach a terminal. */
export function harmless(line: string): string {
  return line.replaceAll(SEQUENCES, '').replaceAll(CONTROLS, '');
}

/** Splits bytes into lines. */
class Lines {
  readonly #decoder = new TextDecoder();
  readonly #line: (text: string) => void;
  #rest = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(line: (text: string) => void) {
    this.#line = line;
  }

  take(chunk: Uint8Array): void {
    clearTimeout(this.#timer);
    const parts = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split('\n');
    this.#rest = parts.pop() ?? '';
    for (const part of parts) this.#line(harmless(part));
    if (this.#rest.length > LINE_CHARACTERS_MAX) this.flush();
    else if (this.#rest !== '') this.#timer = setTimeout(() => this.flush(), PARTIAL_MS);
  }

  flush(): void {
    clearTimeout(this.#timer);
    if (this.#rest !== '') this.#line(harmless(this.#rest));
    this.#rest = '';
  }
}

/** See the head of this file. */
export class LabDisplay {
  readonly #running: RunningLab;
  readonly #options: DisplayOptions;
  readonly #subscription = new Subscription();
  readonly #lines: Lines[] = [];
  readonly #shown = new Set<Member>();
  #drawn = 0;
  #statistics: LabStatistics | undefined;
  /** Lines below the consoles beside the VMs' own. */
  footer: readonly string[] = [];

  constructor(running: RunningLab, options: DisplayOptions) {
    this.#running = running;
    this.#options = options;
    for (const member of running.members.values()) this.#show(member);
    this.#subscription.add(running.changes.subscribe((member) => this.#show(member)));
    this.#subscription.add(
      running.news.subscribe(({ member, text }) => {
        // A member's own log has it already, among what it printed.
        if (member === undefined) this.print(`wurley: ${text}`);
        else if (options.isQuiet) this.print(`wurley: ${member.name}: ${text}`);
      }),
    );
  }

  get #width(): number {
    return Math.max(...[...this.#running.members.keys()].map((name) => name.length));
  }

  #show(member: Member): void {
    if (this.#shown.has(member) || this.#options.isQuiet) return;
    this.#shown.add(member);
    const colour = COLOURS[(this.#shown.size - 1) % COLOURS.length];
    const lines = new Lines((text) => {
      const name = member.name.padEnd(this.#width);
      const prefix = this.#options.isTTY ? `${ESC}[${colour}m${name} |${ESC}[0m` : `${name} |`;
      this.print(`${prefix} ${text}${this.#options.isTTY ? `${ESC}[0m` : ''}`.trimEnd());
    });
    this.#lines.push(lines);
    this.#subscription.add(member.log.follow().subscribe((chunk) => lines.take(chunk)));
  }

  /** A line above the status lines. */
  print(line: string): void {
    this.#erase();
    this.#options.write(`${line}\n`);
    this.#draw();
  }

  /** The status lines say this from now on. */
  update(statistics: LabStatistics): void {
    this.#statistics = statistics;
    if (!this.#options.isTTY) return;
    this.#erase();
    this.#draw();
  }

  #erase(): void {
    if (this.#drawn > 0) this.#options.write(`${ESC}[${this.#drawn}A${ESC}[J`);
    this.#drawn = 0;
  }

  #draw(): void {
    if (!this.#options.isTTY) return;
    const width = this.#width;
    const lines = [...this.#running.members.values()].map((member) => {
      const { name, state, restarts } = member;
      const now = this.#statistics?.vms.find((vm) => vm.name === name);
      const doing =
        now === undefined || state !== 'running'
          ? member.why
          : `${spanText(now.upSeconds)}, ${Math.round(now.busy * 100)} % busy, ${now.mips.toFixed(1)} MIPS`;
      return `${name.padEnd(width)}  ${state.padEnd(8)} ${doing}${restarts === 0 ? '' : `, ${restarts} restarts`}`;
    });
    const all = [...lines, ...this.footer].map((line) => line.slice(0, this.#options.columns - 1));
    this.#options.write(`${ESC}[2m${all.join('\n')}${ESC}[0m\n`);
    this.#drawn = all.length;
  }

  /** Shows what waits, takes the status lines away and ends. */
  close(): void {
    for (const lines of this.#lines) lines.flush();
    this.#erase();
    this.#subscription.unsubscribe();
  }
}
