import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { type Arrival, encodePacket, fromHex, PACKET_MAX, PacketReader, toHex } from './packets.js';

const test = spec('gdb packets');

const brief = (arrival: Arrival): string => (arrival.kind === 'packet' ? `<${arrival.text}>` : arrival.kind);
function read(text: string, size = text.length): string[] {
  const reader = new PacketReader();
  const bytes = Buffer.from(text, 'latin1');
  const arrivals: Arrival[] = [];
  for (let at = 0; at < bytes.length; at += size) arrivals.push(...reader.take(bytes.subarray(at, at + size)));
  return arrivals.map(brief);
}

test('a packet is framed, checked and escaped', () => {
  assert.is(encodePacket('OK'), '$OK#9a');
  assert.is(encodePacket('a#b'), '$a}\x03b#43');
  for (const text of ['', 'g', 'X40080000,4:\x00}#$*\xff', 'm0,4']) {
    for (const size of [1, 3, 1000]) assert.equal(read(encodePacket(text), size), [`<${text}>`]);
  }
});
test('what stands between packets', () => {
  assert.equal(read('+$g#67+\x03-$?#3f'), ['acknowledged', '<g>', 'acknowledged', 'interrupt', 'again', '<?>']);
  // 0x03 inside a packet is data.
  assert.equal(read('$X\x03#5b'), ['<X\x03>']);
});
test('damaged and endless packets are refused and forgotten', () => {
  assert.equal(read('$g#68$g#67'), ['damaged', '<g>']);
  assert.equal(read('$g#zz$g#67'), ['damaged', '<g>']);
  assert.equal(read(`$${'a'.repeat(PACKET_MAX + 1)}#00$g#67`), ['damaged', '<g>']);
  // A new packet begins although the last one did not end: its sender gave up.
  assert.equal(read('$abc$g#67'), ['<g>']);
});
test('hexadecimal bytes', () => {
  assert.is(toHex(Uint8Array.of(0, 255, 16)), '00ff10');
  assert.equal(fromHex('00fF10'), Uint8Array.of(0, 255, 16));
  for (const wrong of ['0', 'zz', '0x10', '00 11']) assert.is(fromHex(wrong), undefined);
});
test.run();
