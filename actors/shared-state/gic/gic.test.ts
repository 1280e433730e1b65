import * as assert from 'uvu/assert';
import { spec } from '../../../test/harness/spec.js';
import { Gic, SPURIOUS } from './gic.js';
import { GicCpuInterface } from './gic-cpu-interface.js';
import { GIC_STATE_BYTES } from './gic-layout.js';
import { GicRegisters } from './gic-mmio.js';

const test = spec('gic');

/** A controller with `cpus` vCPUs, group 1 enabled everywhere, and a log of wake-ups. */
function controller(cpus: number) {
  const woken: number[] = [];
  const gic = new Gic(new SharedArrayBuffer(GIC_STATE_BYTES), 0, (cpu) => woken.push(cpu));
  gic.reset(Array.from({ length: cpus }, (_, i) => i));
  const registers = new GicRegisters(gic);
  const interfaces = Array.from({ length: cpus }, (_, i) => new GicCpuInterface(gic, i));
  registers.writeDistributor(0, 4, 2n);
  for (let cpu = 0; cpu < cpus; cpu++) {
    registers.writeRedistributor(cpu, 0x14, 4, 0n);
    registers.writeRedistributor(cpu, 0x1_0080, 4, 0xffff_ffffn);
    interfaces[cpu]?.write('ICC_PMR_EL1', 0xffn);
    interfaces[cpu]?.write('ICC_IGRPEN1_EL1', 1n);
  }
  woken.length = 0;
  return { gic, registers, interfaces, woken };
}

/** Configures SPI `interrupt` as group 1, enabled, with `priority`, for vCPU `target`; `edge` or level. */
function enableSpi(
  c: ReturnType<typeof controller>,
  interrupt: number,
  priority: number,
  target: number,
  edge: boolean,
) {
  const word = (interrupt >> 5) * 4;
  const bit = BigInt((1 << (interrupt & 31)) >>> 0);
  c.registers.writeDistributor(0x80 + word, 4, 0xffff_ffffn);
  c.registers.writeDistributor(0x100 + word, 4, BigInt.asUintN(32, bit));
  c.registers.writeDistributor(0x400 + interrupt, 1, BigInt(priority));
  c.registers.writeDistributor(0x6000 + interrupt * 8, 8, BigInt(target));
  if (edge) c.registers.writeDistributor(0xc00 + (interrupt >> 4) * 4, 4, BigInt(2 << (2 * (interrupt & 15))));
}

test('a level-sensitive SPI is taken once, and again after its end while the line stays high', () => {
  const c = controller(2);
  const cpu = c.interfaces[1]!;
  enableSpi(c, 40, 0x80, 1, false);
  c.woken.length = 0;
  c.gic.setLine(40, true);
  assert.equal(c.woken, [1]);
  assert.equal(c.interfaces[0]!.signals().irq, false);
  assert.equal(cpu.signals().irq, true);
  assert.is(cpu.read('ICC_IAR1_EL1'), 40);
  assert.is(cpu.read('ICC_RPR_EL1'), 0x80);
  assert.is(cpu.read('ICC_IAR1_EL1'), SPURIOUS);
  cpu.write('ICC_EOIR1_EL1', 40n);
  assert.is(cpu.read('ICC_IAR1_EL1'), 40);
  c.gic.setLine(40, false);
  cpu.write('ICC_EOIR1_EL1', 40n);
  assert.is(cpu.read('ICC_IAR1_EL1'), SPURIOUS);
});

test('an edge is latched while the interrupt is active and taken once more', () => {
  const c = controller(1);
  const cpu = c.interfaces[0]!;
  enableSpi(c, 33, 0xa0, 0, true);
  c.gic.setLine(33, true);
  assert.is(cpu.read('ICC_IAR1_EL1'), 33);
  c.gic.setLine(33, false);
  c.gic.setLine(33, true);
  assert.is(cpu.read('ICC_IAR1_EL1'), SPURIOUS);
  cpu.write('ICC_EOIR1_EL1', 33n);
  assert.is(cpu.read('ICC_IAR1_EL1'), 33);
  cpu.write('ICC_EOIR1_EL1', 33n);
  assert.is(cpu.read('ICC_IAR1_EL1'), SPURIOUS);
});

test('priority orders, masks and preempts', () => {
  const c = controller(1);
  const cpu = c.interfaces[0]!;
  enableSpi(c, 50, 0xa0, 0, true);
  enableSpi(c, 51, 0x40, 0, true);
  c.gic.pulse(50);
  assert.is(cpu.read('ICC_IAR1_EL1'), 50);
  c.gic.pulse(51);
  assert.is(cpu.signals().irq, true);
  assert.is(cpu.read('ICC_IAR1_EL1'), 51);
  cpu.write('ICC_EOIR1_EL1', 51n);
  assert.is(cpu.read('ICC_RPR_EL1'), 0xa0);
  cpu.write('ICC_EOIR1_EL1', 50n);
  cpu.write('ICC_PMR_EL1', 0x40n);
  c.gic.pulse(51);
  assert.is(cpu.signals().irq, false);
  cpu.write('ICC_PMR_EL1', 0x48n);
  assert.is(cpu.signals().irq, true);
});

test('split end of interrupt keeps the interrupt active until ICC_DIR_EL1', () => {
  const c = controller(1);
  const cpu = c.interfaces[0]!;
  enableSpi(c, 60, 0x80, 0, false);
  cpu.write('ICC_CTLR_EL1', 2n);
  c.gic.setLine(60, true);
  assert.is(cpu.read('ICC_IAR1_EL1'), 60);
  cpu.write('ICC_EOIR1_EL1', 60n);
  assert.is(cpu.read('ICC_IAR1_EL1'), SPURIOUS);
  cpu.write('ICC_DIR_EL1', 60n);
  assert.is(cpu.read('ICC_IAR1_EL1'), 60);
});

test('one interrupt is signalled at a time: a more urgent one of the other group stands in front', () => {
  const c = controller(1);
  const cpu = c.interfaces[0]!;
  enableSpi(c, 50, 0xa0, 0, true);
  enableSpi(c, 51, 0x40, 0, true);
  c.registers.writeDistributor(0x84, 4, BigInt(~(1 << 19) >>> 0)); // 51 is of group 0
  for (const interrupt of [50, 51]) c.gic.pulse(interrupt);
  assert.equal(cpu.signals(), { irq: true, fiq: false }); // nobody enables group 0
  assert.is(cpu.read('ICC_HPPIR1_EL1'), 50);
  c.registers.writeDistributor(0, 4, 3n);
  cpu.write('ICC_IGRPEN0_EL1', 1n);
  assert.equal(cpu.signals(), { irq: false, fiq: true });
  assert.is(cpu.read('ICC_HPPIR1_EL1'), SPURIOUS);
  assert.is(cpu.read('ICC_IAR1_EL1'), SPURIOUS);
  assert.is(cpu.read('ICC_HPPIR0_EL1'), 51);
  assert.is(cpu.read('ICC_IAR0_EL1'), 51);
  assert.equal(cpu.signals(), { irq: false, fiq: false });
  cpu.write('ICC_EOIR0_EL1', 51n);
  assert.equal(cpu.signals(), { irq: true, fiq: false });
});

test('an SGI is forwarded to who has it in the group it was sent for', () => {
  const c = controller(2);
  const [self, other] = [c.interfaces[0]!, c.interfaces[1]!];
  c.registers.writeRedistributor(1, 0x1_0100, 4, 0xffffn);
  self.write('ICC_SGI0R_EL1', (3n << 24n) | 0b10n);
  assert.is(c.gic.pendingBits(1, 0), 0);
  self.write('ICC_SGI1R_EL1', (3n << 24n) | 0b10n);
  assert.is(other.read('ICC_IAR1_EL1'), 3);
  c.registers.writeRedistributor(1, 0x1_0080, 4, 0n);
  self.write('ICC_SGI1R_EL1', (4n << 24n) | 0b10n);
  assert.is(c.gic.pendingBits(1, 0), 0);
  self.write('ICC_SGI0R_EL1', (4n << 24n) | 0b10n);
  assert.is(c.gic.pendingBits(1, 0), 1 << 4);
});

test('with a common binary point that of group 1 reads as one more and cannot be written', () => {
  const c = controller(1);
  const cpu = c.interfaces[0]!;
  cpu.write('ICC_BPR1_EL1', 6n);
  cpu.write('ICC_BPR0_EL1', 4n);
  cpu.write('ICC_CTLR_EL1', 1n);
  assert.is(cpu.read('ICC_BPR1_EL1'), 5);
  cpu.write('ICC_BPR1_EL1', 3n);
  cpu.write('ICC_BPR0_EL1', 7n);
  assert.is(cpu.read('ICC_BPR1_EL1'), 7);
  cpu.write('ICC_CTLR_EL1', 0n);
  assert.is(cpu.read('ICC_BPR1_EL1'), 6);
});

test('an SGI reaches the listed vCPUs, or all but the sender', () => {
  const c = controller(4);
  for (let cpu = 0; cpu < 4; cpu++) c.registers.writeRedistributor(cpu, 0x1_0100, 4, 0xffffn);
  c.woken.length = 0;
  c.interfaces[0]!.write('ICC_SGI1R_EL1', (5n << 24n) | 0b0110n);
  assert.equal(c.woken, [1, 2]);
  assert.is(c.interfaces[1]!.read('ICC_IAR1_EL1'), 5);
  assert.is(c.interfaces[3]!.read('ICC_IAR1_EL1'), SPURIOUS);
  c.woken.length = 0;
  c.interfaces[2]!.write('ICC_SGI1R_EL1', (1n << 40n) | (7n << 24n));
  assert.equal(c.woken, [0, 1, 3]);
});

test('registers of interrupts that do not exist read as zero and ignore writes', () => {
  const c = controller(1);
  c.registers.writeDistributor(0x100 + 31 * 4, 4, 0xffff_ffffn);
  assert.is(c.registers.readDistributor(0x100 + 31 * 4, 4), 0n);
  c.registers.writeDistributor(0x100, 4, 0xffff_ffffn);
  assert.is(c.registers.readDistributor(0x100, 4), 0n);
  assert.is(c.registers.readDistributor(0xffe8, 4), 0x3bn);
  assert.is(c.registers.readRedistributor(0, 8, 8), 1n << 4n);
});

test.run();
