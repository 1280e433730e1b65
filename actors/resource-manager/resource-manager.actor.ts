/**
 * The resource manager as an actor: rung by the queues of its clients and by processors that halt, it serves them one after
 * another. Its state and its rules are in resource-manager.ts.
 */
import { assert } from '../../bus/assert.js';
import { Codec } from '../../bus/codec/codec.js';
import { Doorbell } from '../../bus/doorbell/doorbell.js';
import { QueueReceiver } from '../../bus/message-queue/queue-receiver.js';
import { QueueSender } from '../../bus/message-queue/queue-sender.js';
import { err, ok, type Result } from '../../bus/result.js';
import { type ActorContext, actor, actorKind } from '../runtime/actor.js';
import { STOP, type Stop } from '../shared-state/vm/vm-block.js';
import { CoreHost, type LaunchOrderBody } from './core-host.js';
import { FREE_IRQ_START } from './guest-tree.js';
import { ResourceManager } from './resource-manager.js';
import type {
  AdoptedVm,
  Adoption,
  PortText,
  ResourceManagerConfig,
  ResourceManagerProtocol,
} from './resource-manager.protocol.js';
import { OrderAnswer } from './resource-manager.protocol.js';
import type { GivenPort } from './rm-host.js';
import { EXIT_TYPE, type ExitType, VMID } from './rm-messages.js';
import { serveClient } from './rpc-server.js';
import { GUEST_VIRQ_FROM, giveLink, giveWatchdog, joinLink } from './vdevices.js';

type Context = ActorContext<ResourceManagerProtocol>;
interface State {
  readonly rm: ResourceManager;
  readonly host: CoreHost;
  readonly orders: Map<number, (done: boolean) => void>;
  /** The launcher's answers to them. */
  readonly answers: QueueReceiver;
  /** The work that is going on; the next begins when it has ended. */
  work: Promise<void>;
  /** Whether somebody has rung since the work that waits was begun. */
  isRung: boolean;
}

const ASK = { timeoutMs: 10_000 } as const;
/** A parcel of 512 ranges, or the pieces the core answers with. */
const MESSAGE_BYTES_MAX = 16_384;
/** Only the launcher's end of the order queue uses another owner id. */
const ORDER_OWNER = 1;

/** How a VM that stopped by itself is reported. */
const EXIT_OF: Readonly<Record<Exclude<Stop, 0>, ExitType>> = {
  [STOP.off]: EXIT_TYPE.PSCI_SYSTEM_OFF,
  [STOP.reset]: EXIT_TYPE.PSCI_SYSTEM_RESET,
  [STOP.crash]: EXIT_TYPE.SOFTWARE_ERROR,
  [STOP.requested]: EXIT_TYPE.FORCED_STOP,
  [STOP.watchdog]: EXIT_TYPE.WATCHDOG_BITE,
};

/** Serves every client until nobody has anything more, then looks who has stopped. */
async function serveAll({ rm, host }: State): Promise<void> {
  for (const vm of rm.vms.all()) {
    await serveClient(rm, vm);
    if (vm.partition === undefined || !vm.isAlive || vm.isAdopted) continue;
    const stop = host.stopOf(vm.partition);
    const reset2 = host.resetOf(vm.partition);
    if (reset2 !== undefined) await rm.exitedByReset(vm, reset2);
    else if (stop !== STOP.none) await rm.exited(vm, EXIT_OF[stop], 0, 0);
  }
}

/** Lets `action` run after whatever is going on. */
function enqueue<T>(state: State, action: () => Promise<T>): Promise<T> {
  const result = state.work.then(action);
  state.work = result.then(
    () => undefined,
    () => undefined,
  );
  return result;
}

/** Tells those who wait for an order that it was carried out. */
function takeAnswers({ orders, answers }: State): void {
  const view = new DataView(answers.bytes.buffer, answers.bytes.byteOffset, answers.bytes.byteLength);
  for (let size = answers.peek(); size >= 0; size = answers.peek()) {
    const answer = OrderAnswer.read(view, answers.offset);
    answers.release();
    assert(answer.ok, 'the launcher answers orders');
    orders.get(answer.value.order)?.(answer.value.done !== 0);
    orders.delete(answer.value.order);
  }
}

function makeHost(
  config: ResourceManagerConfig,
  context: Context,
  orders: Map<number, (done: boolean) => void>,
): CoreHost {
  const { memory, table, core, launcher, areaBytes } = config;
  const sender = QueueSender.attach(launcher.orders, { owner: ORDER_OWNER });
  const bell = Doorbell.attach(launcher.bell, { owner: ORDER_OWNER });
  assert(sender.ok && bell.ok, 'the launcher made its queue');
  const codec = new Codec({});
  let next = 1;
  const order = (body: LaunchOrderBody): Promise<boolean> =>
    new Promise((resolve) => {
      const number = next++;
      if (!codec.send(sender.value, { ...body, order: number }).ok) {
        resolve(false);
        return;
      }
      orders.set(number, resolve);
      bell.value.send(1);
    });
  return new CoreHost(
    {
      ...{ memory: memory.buffer, areaBytes, self: context.self.actor, order },
      ring: (number) => context.ring({ actor: number }, 1),
      async ask(kind, body) {
        // WHY: the bodies of the core's interface are plain data, which is what Sendable asks for.
        const answer = await context.ask(core, kind, body as never, ASK);
        if (answer.ok) return answer;
        const { error } = answer;
        return err(typeof error === 'string' ? error : 'noAnswer');
      },
    },
    table,
  );
}

const text = ({ object, capability, virq }: GivenPort): PortText => ({
  object,
  capability: `0x${capability.toString(16)}`,
  virq,
});

async function adopt({ rm, host }: State, adoption: Adoption): Promise<Result<AdoptedVm, 'refused'>> {
  const { partition, block, profile, vdevices } = adoption;
  const vmid = adoption.vmid === VMID.SELF ? rm.vms.freeDynamic() : adoption.vmid;
  if (vmid === undefined || rm.vms.get(vmid) !== undefined) return err('refused');
  host.adopt(partition, block);
  const vm = rm.adopt(vmid, partition, profile, adoption);
  vm.isHost = adoption.isHost === true;
  const isPrimary = vmid === VMID.HLOS || vm.isHost;
  const link = await giveLink(rm, vm, isPrimary);
  const bark = vmid === VMID.HLOS && !vm.isHost ? (await giveWatchdog(rm, vm, FREE_IRQ_START))?.virq : 0;
  const ports: { peer: number; tx?: PortText; rx?: PortText }[] = [];
  for (const device of vdevices) {
    if (device.shared !== undefined) {
      ports.push({ peer: VMID.ANY });
      continue;
    }
    const joined = await joinLink(rm, vm, device, isPrimary ? FREE_IRQ_START : GUEST_VIRQ_FROM);
    if (joined === undefined) return err('refused');
    const { tx, rx, peer } = joined;
    ports.push({ peer, ...(tx && { tx: text(tx) }), ...(rx && { rx: text(rx) }) });
  }
  if (link === undefined || bark === undefined) return err('refused');
  return ok({ vmid, tx: text(link.tx), rx: text(link.rx), bark, ports });
}

async function release({ rm }: State, vmid: number): Promise<Result<undefined, 'refused'>> {
  const vm = rm.vms.get(vmid);
  if (vm === undefined || !vm.isAdopted) return err('refused');
  await rm.remove(vm);
  return ok();
}

const resourceManager = actor<ResourceManagerConfig, ResourceManagerProtocol, State>({
  name: 'resource-manager',
  mailboxMax: 64,
  messageBytesMax: MESSAGE_BYTES_MAX,
  interleaves: true, // an order's answer comes while a request waits for it
  supervision: { strategy: 'one-for-one', restartsMax: 0, withinMs: 1_000, otherwise: 'stop' },
  start(config, context) {
    const orders = new Map<number, (done: boolean) => void>();
    const host = makeHost(config, context, orders);
    const answers = QueueReceiver.attach(config.launcher.answers, { owner: ORDER_OWNER });
    assert(answers.ok, 'the launcher made its queue');
    return ok({
      rm: new ResourceManager(host),
      host,
      orders,
      answers: answers.value,
      work: Promise.resolve(),
      isRung: false,
    });
  },
  on: {
    adopt: (state, body) => enqueue(state, () => adopt(state, body)),
    release: (state, { vmid }) => enqueue(state, () => release(state, vmid)),
    setHome({ rm }, { partition }) {
      rm.links.home = partition;
      return ok();
    },
    queues: ({ rm }) => ok({ queues: rm.queues.all() }),
    vms: ({ rm }) =>
      ok({ vms: rm.vms.all().map(({ vmid, state, partition }) => ({ vmid, state, partition: partition ?? 0 })) }),
  },
  rang(state) {
    takeAnswers(state);
    if (state.isRung) return;
    state.isRung = true;
    void enqueue(state, async () => {
      state.isRung = false;
      await serveAll(state);
    });
  },
});
export default resourceManager;

/** How its worker is made. */
export const resourceManagerKind = actorKind(resourceManager, {
  module: new URL(import.meta.url),
  heapMegabytesMax: 64,
});
