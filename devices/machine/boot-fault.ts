/** What goes wrong with a file that a user hands to the machine, always told as file, field and reason. */
import { type Err, err } from '../../bus/result.js';

/** Why an image, device tree or package was refused. */
export interface BootFault {
  readonly kind: 'bad-image';
  /** The file's name as the user gave it. */
  readonly file: string;
  /** The field, header or part of the file that is wrong. */
  readonly field: string;
  /** Why, as the end of a sentence without its full stop. */
  readonly reason: string;
}

/** Longer fields are names that the file itself gives. */
const FIELD_LENGTH_MAX = 100;

/** A failed Result that names `file`, `field` and `reason`. A field may be a name from inside the file: it stays one short line. */
export function refuse(file: string, field: string, reason: string): Err<BootFault> {
  const line = field.replaceAll(/\p{C}/gu, '?');
  const short = line.length > FIELD_LENGTH_MAX ? `${line.slice(0, FIELD_LENGTH_MAX - 3)}...` : line;
  return err({ kind: 'bad-image', file, field: short, reason });
}

/** The one sentence a person reads: `vmlinuz: image_size: 2 GiB do not fit into memory`. */
export function faultSentence(fault: BootFault): string {
  return `${fault.file}: ${fault.field}: ${fault.reason}`;
}

/** `0x4020_0000` without the underscore: the form addresses have in faults. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}
