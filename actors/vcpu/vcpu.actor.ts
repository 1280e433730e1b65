/** A vCPU as a blocking actor: its worker runs guest code for ever, and sleeps when the guest does. */

import { assert } from '../../bus/assert.js';
import { err, ok } from '../../bus/result.js';
import { detectFeatures, setFeatures } from '../../cpu/wasm/features.js';
import type { CoreProtocol } from '../hypervisor/port.protocol.js';
import { actor, actorKind } from '../runtime/actor.js';
import { importModule } from '../runtime/bundle-file.js';
import { MACHINE_HANDLER_BUDGET_MS } from '../runtime/limits.js';
import type { FrontEndFactory } from '../shared-state/mmio/front-end.js';
import type { Vcpu } from './vcpu.js';
import { vcpuPlacement } from './vcpu.placement.js';
import type { VcpuConfig, VcpuProtocol } from './vcpu.protocol.js';
import type { VcpuThread } from './vcpu-thread.js';

/** A call with the most registers: 128 codes and 128 values of 16 bytes. */
const MESSAGE_BYTES_MAX = 4096;

/** What every processor needs. Loaded late: who starts vCPUs loads this file too, and has no use for a processor. */
async function loadProcessor() {
  const [
    { Vcpu },
    { readRegisters, writeRegisters },
    { gicModule },
    { fillModule },
    { HandlerNumbers },
    { INSTRUCTIONS },
    { practise },
  ] = await Promise.all([
    import('./vcpu.js'),
    import('./vp-registers.js'),
    import('./gic-code.js'),
    import('../../cpu/wasm/memory-fill.js'),
    import('../../cpu/interpreter/record.js'),
    import('../../cpu/isa/table.js'),
    import('../../cpu/jit/practice.js'),
  ]);
  const prepare = (hasTime: boolean): void => {
    fillModule();
    gicModule();
    // It will translate little itself: a machine's first vCPU is waited for, and has a translator.
    if (hasTime) practise();
  };
  vpRegisters = { readRegisters, writeRegisters };
  return { Vcpu, numbers: new HandlerNumbers(INSTRUCTIONS), prepare };
}
let processor: ReturnType<typeof loadProcessor> | undefined;
/** There when a vCPU is. */
let vpRegisters: Pick<typeof import('./vp-registers.js'), 'readRegisters' | 'writeRegisters'> | undefined;

/** A slow hypercall waits for other processors at most this long, and then some. */
const CORE_ASK = { timeoutMs: 10_000 } as const;

const vcpu = actor<VcpuConfig, VcpuProtocol, Vcpu>({
  name: 'vcpu',
  mailboxMax: 16,
  messageBytesMax: MESSAGE_BYTES_MAX,
  handlerBudgetMs: MACHINE_HANDLER_BUDGET_MS,
  supervision: { strategy: 'one-for-one', restartsMax: 0, withinMs: 1_000, otherwise: 'stop' },
  async start(config, context) {
    processor ??= loadProcessor();
    const { Vcpu, numbers } = await processor;
    if (config.features === undefined) detectFeatures();
    else setFeatures(config.features);
    const interpreter = { module: config.interpreter, numbers };
    const source = config.entropy === undefined ? undefined : context.file(config.entropy);
    const entropy = (into: Uint8Array): boolean => {
      const read = source?.read(0, into);
      return read?.ok === true && read.value === into.length;
    };
    const thread: VcpuThread = {
      ...(source === undefined ? {} : { entropy }),
      clock: context.clock,
      ring: (number) => context.ring({ actor: number }, 1),
      random: () => context.random.u32(),
      nap: context.nap,
      isAwake: (number) => context.isAwake({ actor: number }),
      hostThread: context.hostThread,
      processorWaitMs: context.processorWaitMs,
      report: (reporter, stop) => void context.tell(reporter, 'stopped', stop),
      askCore(core, body) {
        const answer = context.askBlocking<CoreProtocol, 'guestCall'>({ actor: core }, 'guestCall', body, CORE_ASK);
        return answer.ok ? answer.value : undefined;
      },
      setRights(core, body) {
        const to = { actor: core };
        return context.askBlocking<CoreProtocol, 'setGuestMemoryRights'>(to, 'setGuestMemoryRights', body, CORE_ASK).ok;
      },
    };
    const shell = new Vcpu(config, interpreter, thread);
    // This actor may be a module where its front ends are bundles.
    for (const { module, base, sizeBytes, config: device } of config.frontEnds) {
      const loaded = (await importModule(module)) as { readonly default?: FrontEndFactory };
      if (loaded.default === undefined) return err(`${module} is not a device front end`);
      shell.addFrontEnd(base, sizeBytes, loaded.default(device, shell.frontEndServices));
    }
    return ok(shell);
  },
  on: {
    statistics: (shell) => ok(shell.statistics()),
    debugStop(shell, { reporter }) {
      shell.debugger.hold(reporter);
      return ok({});
    },
    debugGo(shell, { step, awayMs, turn }) {
      shell.debugGo(step, awayMs, turn);
      return ok({});
    },
    debugPoints(shell, { breakpoints, watchpoints }) {
      const watched = watchpoints.map((point) => ({ ...point, address: BigInt(point.address) }));
      shell.debugger.setPoints(breakpoints.map(BigInt), watched);
      return ok({});
    },
    debugRegisters: (shell) => ok({ file: shell.debugger.registers() }),
    debugSetRegisters: (shell, { file }) => shell.debugger.setRegisters(file),
    debugSystem: (shell, { index }) => shell.debugger.system(index),
    debugSetSystem: (shell, { index, value }) => shell.debugger.setSystem(index, value),
    debugRead: (shell, { address, bytes }) => shell.debugger.read(address, bytes),
    debugWrite: (shell, { address, bytes }) => shell.debugger.write(address, bytes),
    handOverJournal: (shell) => ok({ pages: shell.handOverJournal() }),
    getRegisters(shell, { names }) {
      assert(vpRegisters !== undefined, 'a processor was loaded');
      const values = vpRegisters.readRegisters(shell.resetOnce(), names);
      return values.ok ? ok({ values: values.value }) : values;
    },
    setRegisters(shell, { names, values }) {
      assert(vpRegisters !== undefined, 'a processor was loaded');
      return vpRegisters.writeRegisters(shell.prepare(), names, values);
    },
    start: (shell) => (shell.start() ? ok() : err('badState')),
  },
  async warmUp(hasTime) {
    processor ??= loadProcessor();
    const { prepare } = await processor;
    prepare(hasTime);
  },
  slice: (shell) => shell.slice(),
});
export default vcpu;

/** How its workers are made. */
export const vcpuKind = actorKind(vcpu, vcpuPlacement);
