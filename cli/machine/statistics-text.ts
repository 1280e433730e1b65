/** What `--stats` and Ctrl-] i say about a machine's vCPUs. */
import type { InterruptWaits } from '../../actors/vcpu/look-gaps.js';
import type { VcpuStatistics } from '../../actors/vcpu/vcpu.protocol.js';
import { Decoder } from '../../cpu/decode/decoder.js';
import { disassemble } from '../../cpu/isa/disassemble.js';
import { INSTRUCTIONS } from '../../cpu/isa/table.js';

const count = (value: number): string => Math.round(value).toLocaleString('en-US');
const percent = (share: number): string => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
const list = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .filter(([, value]) => value > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([name, value]) => `${name} ${count(value)}`)
    .join(', ');

let decoder: Decoder | undefined;

function hotLines({ meter }: VcpuStatistics): string[] {
  decoder ??= new Decoder(INSTRUCTIONS);
  const texts = decoder;
  return meter.hottest.flatMap(({ pc, share, compiled, words }) => [
    `    ${percent(share).padStart(6)}  ${pc}  ${compiled ? 'compiled' : 'interpreted'}`,
    ...words.map((word, n) => `              ${disassemble(texts, word, BigInt(pc) + BigInt(n * 4))}`),
  ]);
}

/** What is always nothing, unless the emitter has a bug. */
const refused = ({ refusedRegions }: VcpuStatistics): string =>
  refusedRegions === 0 ? '' : `, ${count(refusedRegions)} refused by the scanner (a bug of ours)`;

/** How late interrupts are seen. */
function waitsText({ meter }: VcpuStatistics): string {
  const { seen, own } = meter.gaps;
  const us = (ms: number): string => count(ms * 1000);
  const most = ({ p99, max, lateShare }: InterruptWaits): string =>
    `p99 ${us(p99)}, longest ${us(max)}, above 50 us ${(lateShare * 100).toFixed(2)} %`;
  const itself = own === null ? '' : `; by the thread itself ${most(own)}`;
  const since = meter.gaps.isSettled ? ', its first 5 s left out' : '';
  return `  an interrupt waits ${us(seen.p50)} us for a look (median), ${most(seen)}${itself}${since}`;
}

/** Lines about one vCPU; `places`: how many of its hottest places are shown, with their first instructions. */
export function statisticsText(cpu: VcpuStatistics, places: number): readonly string[] {
  const { compiledMs, interpretedMs, exitsMs, idleMs, instructions } = cpu.meter;
  const busyMs = compiledMs + interpretedMs + exitsMs;
  const allMs = Math.max(busyMs + idleMs, Number.EPSILON);
  const mips = busyMs > 0 ? instructions / 1000 / busyMs : 0;
  const shown = { ...cpu, meter: { ...cpu.meter, hottest: cpu.meter.hottest.slice(0, places) } };
  return [
    `cpu ${cpu.index}: ${cpu.state}, pc ${cpu.pc}${cpu.hostThread === null ? '' : `, thread ${cpu.hostThread}`}`,
    `  about ${count(instructions / 1e6)} million instructions, ${mips.toFixed(0)} MIPS while busy (estimated from samples)`,
    `  time ${(allMs / 1000).toFixed(1)} s: compiled ${percent(compiledMs / allMs)}, interpreted ${percent(interpretedMs / allMs)}, exits ${percent(exitsMs / allMs)}, idle ${percent(idleMs / allMs)}`,
    `  exceptions ${count(cpu.exceptions)}${cpu.exceptions > 0 ? ` (${list(cpu.exceptionClasses)})` : ''}, interrupts ${count(cpu.interrupts)}, sleeps ${count(cpu.sleeps)}`,
    ...(cpu.meter.gaps.allMs > 0 ? [waitsText(cpu)] : []),
    `  exits: ${list(cpu.exits) || 'none'}; device accesses ${count(cpu.deviceAccesses)}`,
    `  TLB: ${count(cpu.tlbFills)} misses, ${count(cpu.tlbFlushes)} flushes`,
    `  code: ${count(cpu.regions)} regions in ${count(cpu.modules)} modules compiled, ${count(cpu.evictedRegions)} evicted${refused(cpu)}; ${count(cpu.modulesInUse)} modules of ${count(cpu.codeBytesInUse / 1024)} KiB in use`,
    ...(shown.meter.hottest.length > 0 ? ['  hottest places (share of samples):', ...hotLines(shown)] : []),
  ];
}
