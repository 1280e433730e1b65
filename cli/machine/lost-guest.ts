/**
 * A guest that can do nothing any more: each exception it takes ends in the same one at its vector, for ever. That is what
 * a file that is no program for AArch64 comes to when it is run, and nobody would see why nothing happens.
 */
import type { VcpuStatistics } from '../../actors/vcpu/vcpu.protocol.js';

/** Exceptions at one vector between two readings a second apart that no guest takes which does something besides. */
const MANY = 1000;
const EVERY_MS = 1000;
/** Readings, after which a silent guest is taken for one that likes it so. */
const READINGS = 10;
/** Synchronous exceptions from the level that takes them: VBAR_EL1 + 0 with SP_EL0, + 0x200 with SP_EL1 (DDI 0487 D1.3.1). */
const OWN_VECTORS: readonly bigint[] = [0n, 0x200n];
const VECTORS_BYTES = 0x800n;
/** What an instruction that is not there, or cannot be fetched, leads to: names of exception classes. */
const CLASSES = ['undefined', 'instruction-abort-el1', 'instruction-abort-el0', 'pc-alignment'] as const;

/** What there is to say of a guest whose vCPUs were read twice, `before` and `now`: undefined unless one is lost. */
export function lostGuest(before: readonly VcpuStatistics[], now: readonly VcpuStatistics[]): string | undefined {
  for (const [n, cpu] of now.entries()) {
    const earlier = before[n];
    if (earlier === undefined || cpu.state !== 'running' || cpu.pc !== earlier.pc) continue;
    if (!OWN_VECTORS.includes(BigInt(cpu.pc) % VECTORS_BYTES)) continue;
    const grew = (name: string): number => (cpu.exceptionClasses[name] ?? 0) - (earlier.exceptionClasses[name] ?? 0);
    const found = CLASSES.find((name) => grew(name) >= MANY);
    if (found !== undefined)
      return `cpu ${cpu.index} takes the same exception for ever at its own vector ${cpu.pc} (${found}); what was loaded may be no program for AArch64.`;
  }
  return undefined;
}

/** Looks after a guest until it is called off, which is when it prints something, and says once that it is lost. */
export function watchForLost(
  statistics: () => Promise<readonly VcpuStatistics[]>,
  say: (sentence: string) => void,
): () => void {
  let before: readonly VcpuStatistics[] = [];
  let readings = 0;
  let isOver = false;
  const look = async (): Promise<void> => {
    readings += 1;
    if (readings >= READINGS) clearInterval(timer);
    const now = await statistics();
    const sentence = isOver ? undefined : lostGuest(before, now);
    before = now;
    if (sentence === undefined) return;
    end();
    say(sentence);
  };
  const timer = setInterval(() => void look(), EVERY_MS);
  const end = (): void => {
    isOver = true;
    clearInterval(timer);
  };
  return end;
}
