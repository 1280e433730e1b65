/** Both wordings of --trace, and the two forms of a line. */
import * as assert from 'uvu/assert';
import type { TraceEvent } from '../../bus/tap/trace.js';
import { spec } from '../../test/harness/spec.js';
import { parseTrace } from './trace-option.js';
import { traceJson, traceText } from './trace-text.js';

const test = spec('trace option');

function parsed(text: string): string {
  const result = parseTrace(text);
  return result.ok ? `${[...result.value.kinds].join(',')} > ${result.value.file ?? 'stderr'}` : 'refused';
}

test('kinds, kinds and a file, a file', () => {
  assert.is(parsed('insn'), 'insn > stderr');
  assert.is(parsed('exception,sysreg'), 'exception,sysreg > stderr');
  assert.is(parsed('block,irq:out.txt'), 'block,irq > out.txt');
  assert.is(parsed('all:/tmp/a:b.jsonl'), 'exception,sysreg,hypercall,mmio,irq,power > /tmp/a:b.jsonl');
  assert.is(parsed('run.jsonl'), 'exception,hypercall,power > run.jsonl');
  assert.is(parsed('./insn'), 'exception,hypercall,power > ./insn');
});
test('slips are refused with a sentence', () => {
  for (const text of ['', 'insn:', 'insn,exeption', 'exeption,insn:out.txt']) assert.is(parsed(text), 'refused');
  for (const text of ['exeption', 'exeptions:out.txt', 'hypercal', 'IRQ', 'insns', 'sysregs', 'mmi', 'pover'])
    assert.is(parsed(text), 'refused', text);
});
test('what is like no kind is a file', () => {
  for (const text of ['trace', 'run', 'out', 'in', 'exeption.txt', './exeption', 'boot:1', 'blocks.jsonl'])
    assert.is(parsed(text), `exception,hypercall,power > ${text}`);
});

const event: TraceEvent = {
  kind: 'sysreg',
  timeNs: 1_234_567_890,
  who: 'cpu1',
  fields: { event: 'do', name: 'TLBI VAE1IS', value: '0x5' },
};
test('a line for people and for grep', () => {
  assert.is(traceText(event), '1.234567890 cpu1 sysreg do name="TLBI VAE1IS" value=0x5');
  const insn = { pc: '0x40080000', word: '91000420', text: 'add x0, x1, #0x1', x0: '0x8' };
  assert.is(
    traceText({ ...event, kind: 'insn', fields: insn }),
    '1.234567890 cpu1 insn 0x40080000 91000420 add x0, x1, #0x1  ; x0=0x8',
  );
  assert.is(traceText({ ...event, kind: 'power', fields: { event: 'off' } }), '1.234567890 cpu1 power off');
});
test('a line of JSON', () => {
  const expected = { t: 1.23456789, who: 'cpu1', kind: 'sysreg', event: 'do', name: 'TLBI VAE1IS', value: '0x5' };
  assert.equal(JSON.parse(traceJson(event)), expected);
});
test.run();
