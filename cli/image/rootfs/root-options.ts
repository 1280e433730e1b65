/** The options of `wurley image rootfs` as text, and checked. */
import { readFileSync } from 'node:fs';
import { err, ok, type Result } from '../../../bus/result.js';
import { hostReason } from '../../host-reasons.js';
import type { RootOptions } from './build-root.js';
import type { Variant } from './root-catalog.js';

/** What commander hands over. */
export interface RootText {
  readonly output: string;
  readonly format?: string;
  readonly size: string;
  readonly variant: string;
  readonly include?: readonly string[];
  readonly hostname: string;
  readonly rootPassword: string;
  readonly sshKey?: string;
  readonly force?: boolean;
}

/** The part of the options that is about the root file system. */
export type CheckedRoot = Pick<
  RootOptions,
  'output' | 'replaces' | 'format' | 'sizeBytes' | 'variant' | 'include' | 'hostname' | 'password' | 'sshKeys'
>;

const MIB = 2 ** 20;
const SIZE_MIN = 1024 * MIB;
const SIZE_MAX = 2048 * 1024 * MIB;
const UNITS: Readonly<Record<string, number>> = { m: MIB, g: 1024 * MIB };
const PACKAGE = /^[a-z0-9][a-z0-9+.-]{1,127}$/;
const HOSTNAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const KEY = /^(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/=]+( |$)/;
const KEYS_BYTES_MAX = 64 * 1024;
const VARIANTS: readonly Variant[] = ['standard', 'minimal'];
const PASSWORDS: readonly RootOptions['password'][] = ['none', 'random', 'locked'];
const FORMATS: readonly RootOptions['format'][] = ['raw', 'qcow2'];

/** The format: what was asked for, else what the name says. */
function formatOf(output: string, format: string | undefined): Result<RootOptions['format'], string> {
  const word = format ?? /\.(qcow2|img|raw)$/.exec(output)?.[1]?.replace('img', 'raw');
  if (word === undefined)
    return err(`-o ${output}: the name does not tell the format; end it in .qcow2 or .img, or give --format`);
  const found = FORMATS.find((known) => known === word);
  return found === undefined ? err(`--format takes ${FORMATS.join(', ')}, not "${word}"`) : ok(found);
}

/** The keys in `file`: a public key, or several, one a line. */
function readKeys(file: string): Result<string, string> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (problem) {
    return err(`--ssh-key ${file}: cannot be read: ${hostReason(problem)}`);
  }
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
  const isSound = text.length <= KEYS_BYTES_MAX && lines.length > 0 && lines.every((line) => KEY.test(line));
  if (isSound) return ok(`${lines.join('\n')}\n`);
  const hint = text.includes('PRIVATE KEY') ? '; the public key is in the file that ends in .pub' : '';
  return err(`--ssh-key ${file}: is no public key of OpenSSH${hint}`);
}

/** Checks the options; the error is a sentence. */
export function checkRoot(text: RootText): Result<CheckedRoot, string> {
  const format = formatOf(text.output, text.format);
  if (!format.ok) return format;
  const size = /^(\d{1,7})([mg])i?b?$/i.exec(text.size);
  const sizeBytes = Number(size?.[1]) * (UNITS[(size?.[2] ?? '').toLowerCase()] ?? Number.NaN);
  if (!(sizeBytes >= SIZE_MIN && sizeBytes <= SIZE_MAX))
    return err(`--size takes 1G to 2048G (such as 4G), not "${text.size}"`);
  const variant = VARIANTS.find((known) => known === text.variant);
  if (variant === undefined) return err(`--variant takes ${VARIANTS.join(', ')}, not "${text.variant}"`);
  const password = PASSWORDS.find((known) => known === text.rootPassword);
  if (password === undefined) return err(`--root-password takes ${PASSWORDS.join(', ')}, not "${text.rootPassword}"`);
  const include = (text.include ?? []).flatMap((list) => list.split(/[,\s]+/)).filter((name) => name !== '');
  const odd = include.find((name) => !PACKAGE.test(name));
  if (odd !== undefined) return err(`--include: "${odd}" is no name of a package`);
  if (!HOSTNAME.test(text.hostname))
    return err(`--hostname takes letters, digits and "-", at most 63, not "${text.hostname}"`);
  const keys = text.sshKey === undefined ? ok(undefined) : readKeys(text.sshKey);
  if (!keys.ok) return keys;
  const { output, hostname, force: replaces = false } = text;
  return ok({
    output,
    replaces,
    format: format.value,
    sizeBytes,
    variant,
    include,
    hostname,
    password,
    sshKeys: keys.value,
  });
}
