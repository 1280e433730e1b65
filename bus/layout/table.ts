/** Prints a layout as a Markdown table, for the generated documents. */
import type { Fields, Struct } from './struct.js';

/** The fields of `layout` in order of offset: offset, width, type and name. */
export function layoutTable<F extends Fields>(layout: Struct<F>): string {
  const hex = (n: number): string => `0x${n.toString(16).padStart(2, '0')}`;
  const rows = Object.entries(layout.fields)
    .sort(([, a], [, b]) => a.at - b.at)
    .map(([name, field]) => `| ${hex(field.at)} | ${field.sizeBytes} | ${field.type} | ${name} |`);
  const head = `### ${layout.name} (${layout.sizeBytes} bytes)`;
  return [head, '', '| offset | bytes | type | field |', '|---|---|---|---|', ...rows, ''].join('\n');
}
