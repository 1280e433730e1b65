/** Small parts that connect a vCPU with what is around it. */
import type { BackgroundCompiler, FinishedBatch } from '../../cpu/jit/jit.js';
import { type ObjectEnd, ObjectPort } from '../runtime/object-channel.js';
import { GICD_BYTES, GICR_BYTES } from '../shared-state/gic/gic-mmio.js';
import { VM_CPUS_MAX } from '../shared-state/vm/vm-block.js';
import type { TranslationRequest } from '../translator/translator.protocol.js';
import type { VcpuConfig } from './vcpu.protocol.js';

/** The device whose registers lie at `ipa`, for traces. */
export function deviceName(config: VcpuConfig, ipa: number): string {
  const { gic, frontEnds } = config;
  const found = frontEnds.find(({ base, sizeBytes }) => ipa >= base && ipa < base + sizeBytes);
  if (found !== undefined) return /([a-z0-9-]+)\.front-end/.exec(found.module)?.[1] ?? found.module;
  if (ipa >= gic.distributor && ipa < gic.distributor + GICD_BYTES) return 'gicd';
  return ipa >= gic.redistributors && ipa < gic.redistributors + VM_CPUS_MAX * GICR_BYTES ? 'gicr' : 'nothing';
}

/** The VM's translator as the JIT sees it. */
export function compilerBehind(end: ObjectEnd): BackgroundCompiler {
  const port = new ObjectPort<TranslationRequest, FinishedBatch>(end);
  return {
    send: (ticket, entries) => port.send({ ticket, entries }),
    receive: () => port.take(),
  };
}
