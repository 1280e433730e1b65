/** Where the kill test finds the product's actors alive: whole machines with a guest that prints, and those of no machine. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  ActorKind,
  AnyDeclaration,
  ConfigOf,
  ProtocolOf,
  SpawnFailure,
  SpawnOptions,
} from '../../actors/runtime/actor.js';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import type { SystemEvent } from '../../actors/runtime/supervisor.js';
import { ActorSystem } from '../../actors/runtime/system.js';
import { vmManagerKind } from '../../actors/vm-manager/vm-manager.actor.js';
import { createQueue } from '../../bus/message-queue/queue-layout.js';
import type { Result } from '../../bus/result.js';
import { RAW_BYTES } from '../../cli/demo/demo-protocol.js';
import { listenerKind } from '../../cli/demo/listener.actor.js';
import { talkerKind } from '../../cli/demo/talker.actor.js';
import { primaryNodes } from '../../cli/host/gunyah-platform.js';
import { hostUnpackers } from '../../cli/image/unpackers.js';
import { openVars } from '../../cli/machine/flash-files.js';
import { loadInterpreter } from '../../cli/machine/interpreter-cache.js';
import { type Machine, startMachine } from '../../cli/machine/machine.js';
import { openVirtio, parseVirtio } from '../../cli/machine/virtio-options.js';
import { planBoot } from '../../devices/machine/boot-plan.js';
import { createLink, farEnd } from '../../devices/network/link/frame-link.js';
import { localSwitchKind } from '../../devices/network/switch/local-switch.actor.js';
import { switchKind } from '../../devices/network/switch/switch.actor.js';
import type { MortalKinds } from '../fixtures/actors/mortal-kinds.js';

/**
 * Prints a dot, counts a little, sleeps until its timer rings a 256th of a second later, and so on, for ever. It masks interrupts: one
 * that is pending ends the sleep all the same. A guest that never slept would keep the processors from the actors that die here.
 */
const DOTS = Uint32Array.of(
  0xd2a10000, // mov x0, #0x8000000
  0x52800241, // mov w1, #0x12
  0xb9000001, // str w1, [x0]
  0xd2a10140, // mov x0, #0x80a0000
  0xb9401401, // ldr w1, [x0, #20]
  0x121e7821, // and w1, w1, #0xfffffffd
  0xb9001401, // str w1, [x0, #20]
  0x91404000, // add x0, x0, #0x10, lsl #12
  0x12800001, // mov w1, #0xffffffff
  0xb9008001, // str w1, [x0, #128]
  0x52a10001, // mov w1, #0x8000000
  0xb9010001, // str w1, [x0, #256]
  0xd28000e1, // mov x1, #0x7
  0xd518cca1, // msr icc_sre_el1, x1
  0xd5033fdf, // isb
  0xd2801e01, // mov x1, #0xf0
  0xd5184601, // msr icc_pmr_el1, x1
  0xd2800021, // mov x1, #0x1
  0xd518cce1, // msr icc_igrpen1_el1, x1
  0xd51be321, // msr cntv_ctl_el0, x1
  0xd5033fdf, // isb
  0xd2a12003, // mov x3, #0x9000000
  0x528005c4, // mov w4, #0x2e
  0xd53be005, // mrs x5, cntfrq_el0
  0xd348fca5, // lsr x5, x5, #8
  0xb9000064, // str w4, [x3]
  0xd2880006, // mov x6, #0x4000
  0xf10004c6, // subs x6, x6, #0x1
  0x54ffffe1, // b.ne inner
  0xd51be305, // msr cntv_tval_el0, x5
  0xd5033fdf, // isb
  0xd503207f, // wfi
  0x17fffff9, // b loop
);
const PRINT_MS_MAX = 120_000;
const CACHE = join(tmpdir(), 'wurley-test-cache');
/** An empty disk, read only in fact: what the guest writes is thrown away. */
const DISK = join(CACHE, 'empty-disk.img');
/** What firmware would keep its variables in. */
const VARS = join(CACHE, 'vars.fd');
const DISK_BYTES = 1 << 20;

/** After this an actor that is to be killed is found to hang. */
export const VICTIM_BUDGET_MS = 1_000;
/** Everybody else may wait long for a processor. */
const BYSTANDER_BUDGET_MS = 60_000;

/** The kind as it ships, which loads from its bundle, but with all the time it may want for a message. */
function patient<D extends AnyDeclaration>(kind: ActorKind<D>): ActorKind<D> {
  return { ...kind, declaration: { ...kind.declaration, handlerBudgetMs: BYSTANDER_BUDGET_MS } };
}

/** A system in which every actor that is a victim can be told to die. */
export class MortalSystem extends ActorSystem {
  readonly #kinds: MortalKinds;
  readonly #isVictim: (name: string) => boolean;

  /** `isVictim` says of an actor's name whether that one will be killed. */
  constructor(kinds: MortalKinds, isVictim: (name: string) => boolean, onEvent: (event: SystemEvent) => void) {
    super({ onEvent, onLog: () => undefined, seed: 5 });
    this.#kinds = kinds;
    this.#isVictim = isVictim;
  }

  /** When the worker killed last made its last move, on this system's clock. */
  diedAtMs(): number {
    return this.#kinds.lastMoveMs();
  }

  override spawn<D extends AnyDeclaration>(
    kind: ActorKind<D>,
    config: ConfigOf<D>,
    options: SpawnOptions,
  ): Promise<Result<ActorRef<ProtocolOf<D>>, SpawnFailure>> {
    if (!this.#isVictim(options.name)) return super.spawn(patient(kind), config, options);
    // WHY: the mortal kind has the declaration of the real one and a message more.
    return super.spawn(this.#kinds.of(kind, VICTIM_BUDGET_MS) as ActorKind<D>, config, options);
  }
}

let interpreter: WebAssembly.Module | undefined;

/** A machine called `name` of two processors, with the guest above on the first; `full`: with everything it can have. */
export async function machineScene(system: ActorSystem, name: string, full: boolean): Promise<Machine> {
  interpreter ??= (await loadInterpreter(CACHE)).module;
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(DISK, new Uint8Array(DISK_BYTES));
  const devices = {
    console: 'virtio',
    rng: true,
    disk: [DISK],
    snapshotDisk: true,
    net: 'user',
    share: [CACHE],
    vsock: join(CACHE, `${name}.sock`),
    balloon: '0',
  };
  const requests = parseVirtio(full ? devices : { console: 'pl011', net: 'none' });
  if (!requests.ok) throw new Error(requests.error);
  const virtio = openVirtio(requests.value, system.files, { columns: 80, rows: 24 });
  if (!virtio.ok) throw new Error(virtio.error);
  const slots = virtio.value.map((_, slot) => slot);
  const description = {
    cpus: 2,
    ramBytes: 64 << 20,
    virtioSlots: slots,
    hasFirmware: full,
    pmu: false,
    extraNodes: primaryNodes(),
  };
  const kernel = { file: 'dots', bytes: new Uint8Array(DOTS.buffer) };
  const seeds = { kaslrSeed: 1n, rngSeed: new Uint8Array(64) };
  // The guest runs anywhere: from the flash, where there is one.
  const guest = full ? { firmware: kernel } : { kernel };
  const plan = await planBoot(
    { machine: description, bootArguments: '', ...seeds, ...guest, acpi: 'off' },
    hostUnpackers,
  );
  if (!plan.ok) throw new Error('the guest is not accepted');
  const options = { description, plan: plan.value, interpreter, jit: true, virtio: virtio.value, trace: undefined };
  const vars = full ? openVars({ path: VARS, template: undefined }, system.files) : undefined;
  if (vars !== undefined && !vars.ok) throw new Error(vars.error);
  const more =
    vars === undefined ? {} : ({ gunyah: 'P17', gdb: { port: 0, waits: false }, firmwareVars: vars.value } as const);
  const started = await startMachine(system, { ...options, ...more, name });
  if (!started.ok) throw new Error(started.error.sentence);
  return started.value;
}

/** Waits until the guest of `machine` has printed something that it had not when this was called. */
export async function prints(machine: Machine): Promise<void> {
  const stream = machine.serial ?? machine.output;
  stream.read();
  machine.resume();
  for (const end = performance.now() + PRINT_MS_MAX; stream.length === 0; ) {
    if (performance.now() > end) throw new Error('the guest prints nothing');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The actors that are of no machine: those of `npm start`, and switches without a cable. */
export async function loneScene(system: ActorSystem): Promise<void> {
  const queue = createQueue({ depth: 64, messageBytesMax: RAW_BYTES, mode: 'single' });
  const listener = await system.spawn(listenerKind, { queue }, { name: 'listener' });
  if (!listener.ok) throw new Error('the listener does not start');
  const talker = await system.spawn(talkerKind, { listener: listener.value, queue }, { name: 'talker' });
  if (!talker.ok) throw new Error('the talker does not start');
  const hub = await system.spawn(switchKind, { ports: [{ link: farEnd(createLink()) }] }, { name: 'switch' });
  if (!hub.ok) throw new Error('the switch does not start');
  const local = await system.spawn(localSwitchKind, { ports: [farEnd(createLink())] }, { name: 'local-switch' });
  if (!local.ok) throw new Error('the local switch does not start');
  // A host VM's driver before it is connected: nobody has started a VM.
  const memory = new WebAssembly.Memory({ initial: 8, maximum: 8, shared: true });
  const config = { memory, core: { actor: hub.value.actor }, generation: 'P17', vmid: 3, partition: 1 } as const;
  const driver = await system.spawn(vmManagerKind, { ...config, table: 4096, space: 4096 }, { name: 'vm-manager' });
  if (!driver.ok) throw new Error('the VM manager does not start');
}
