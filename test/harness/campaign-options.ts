/** Options of the campaigns behind `npm run ...`: `--help` shows them, and what is wrong ends the process with a sentence and 64. */
import { Command } from 'commander';

/** Exit code for a wrong command line, as sysexits has it. */
const USAGE = 64;

/** An option: `value` is its default and makes it one that takes a value, without it is a switch. */
interface CampaignOption {
  readonly help: string;
  readonly value?: string;
}

type Values<T extends Readonly<Record<string, CampaignOption>>> = {
  readonly [K in keyof T]: T[K] extends { readonly value: string } ? string : boolean;
};

/** What the command line says of `options`, whose names are as they are typed. `command`: how the campaign is called. */
export function campaignOptions<const T extends Readonly<Record<string, CampaignOption>>>(
  command: string,
  what: string,
  options: T,
): Values<T> {
  const program = new Command(command).description(what).exitOverride().allowExcessArguments(false);
  for (const [name, { help, value }] of Object.entries<CampaignOption>(options)) {
    program.option(value === undefined ? `--${name}` : `--${name} <value>`, help, value ?? false);
  }
  try {
    program.parse();
  } catch (problem) {
    process.exit((problem as { readonly exitCode: number }).exitCode === 0 ? 0 : USAGE);
  }
  const found = program.opts<Record<string, string | boolean>>();
  const camel = (name: string): string => name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
  // WHY: commander has filled in every option declared above, in the type its declaration says.
  return Object.fromEntries(Object.keys(options).map((name) => [name, found[camel(name)]])) as Values<T>;
}

/** The whole number that option `--name` says, at least `min`; ends the process with a sentence otherwise. */
export function wholeNumber(name: string, text: string, min: number): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= min) return number;
  return refuse(`--${name} wants a whole number of at least ${min}, not "${text}".`);
}

/** Ends the process: the command line is wrong. */
export function refuse(sentence: string): never {
  process.stderr.write(`${sentence}\n`);
  process.exit(USAGE);
}
