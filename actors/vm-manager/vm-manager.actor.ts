/**
 * The VM manager as an actor: the driver of the host VM, and its one process' file descriptors. Its queues to the resource manager
 * ring it; memory comes from the core, as pages of the host VM. Its rules are in vm-manager.ts.
 */
import { err, ok, type Result } from '../../bus/result.js';
import { GUNYAH_ERROR } from '../abi/gunyah/errors.js';
import { type ActorContext, actor, actorKind } from '../runtime/actor.js';
import { ObjectTable } from '../shared-state/objects/object-table.js';
import { lockOwner, Ports } from '../shared-state/objects/ports.js';
import { STAGE2_RIGHTS } from '../shared-state/stage2/stage2-map.js';
import { bellBehind } from './capability-bells.js';
import { processorBehind } from './capability-processors.js';
import type { Errno } from './errno.js';
import type { ManagerHost, UserMemory } from './manager-host.js';
import { RpcClient } from './rpc-client.js';
import { RunMmio } from './uapi.js';
import { VmManager } from './vm-manager.js';
import type { VmManagerConfig, VmManagerProtocol } from './vm-manager.protocol.js';

type Context = ActorContext<VmManagerProtocol>;
interface State {
  readonly config: VmManagerConfig;
  readonly ports: Ports;
  readonly host: ManagerHost;
  driver: { readonly rpc: RpcClient; readonly manager: VmManager } | undefined;
}

/** Where memory of the process lies in the host VM, and in what steps: so that the core can map it in large pages. */
const MAPPED_FROM = 0x4000_0000;
const MAPPED_END = 0x2_0000_0000;
const MAPPED_ALIGN = 0x20_0000;
const LOCK_INDEX = 61;
const ASK = { timeoutMs: 20_000 } as const;
/** Of a hypercall. */
const ARGUMENTS = 8;
const MESSAGE_BYTES_MAX = 8192;

/** Memory of the host VM, first fit. */
function makeHost({ memory, core, partition, space }: VmManagerConfig, ports: Ports, context: Context): ManagerHost {
  const mapped: UserMemory[] = [];
  return {
    async mapMemory(bytes): Promise<Result<UserMemory, 'ENOMEM'>> {
      const starts = [MAPPED_FROM, ...mapped.map((m) => m.address + m.bytes)].map(
        (at) => Math.ceil(at / MAPPED_ALIGN) * MAPPED_ALIGN,
      );
      const isFree = (at: number): boolean => mapped.every((m) => at + bytes <= m.address || m.address + m.bytes <= at);
      const address = starts.sort((a, b) => a - b).find((at) => at + bytes <= MAPPED_END && isFree(at));
      if (address === undefined) return err('ENOMEM');
      const rights = STAGE2_RIGHTS.all;
      // Nobody else takes the place while the core is asked.
      const place = { address, host: 0, bytes };
      mapped.push(place);
      const answer = await context.ask(core, 'mapGuestMemory', { partition, ipa: address, bytes, rights }, ASK);
      mapped.splice(mapped.indexOf(place), 1);
      const extent = answer.ok ? answer.value.extents[0] : undefined;
      if (extent === undefined) return err('ENOMEM');
      const made = { address, host: extent.host, bytes };
      mapped.push(made);
      return ok(made);
    },
    async unmapMemory({ address, bytes }) {
      const answer = await context.ask(core, 'unmapGuestMemory', { partition, ipa: address, bytes }, ASK);
      // Memory that is still given away stays ours, and its place in use.
      if (!answer.ok) return;
      const at = mapped.findIndex((m) => m.address === address);
      if (at >= 0) mapped.splice(at, 1);
    },
    bell: (capability) => bellBehind(memory.buffer, space, ports, capability),
    processor: (capability) =>
      processorBehind(memory.buffer, space, ports, capability, {
        self: context.self.actor,
        ring: (number) => context.ring({ actor: number }, 1),
      }),
    async hypercall(number, args) {
      const words = new DataView(new ArrayBuffer(ARGUMENTS * 8));
      args.forEach((value, index) => {
        words.setBigUint64(index * 8, value, true);
      });
      const call = { partition, index: 0, abi: 'gunyah' as const, number, args: new Uint8Array(words.buffer) };
      const answer = await context.ask(core, 'guestCall', call, ASK);
      return answer.ok ? answer.value.error : GUNYAH_ERROR.failure;
    },
    pause: (ms) => new Promise((resolve) => void context.after(ms, resolve)),
  };
}

/** Runs `body` once the driver is connected. */
async function withDriver<T>(
  { driver }: State,
  body: (manager: VmManager) => Result<T, Errno> | Promise<Result<T, Errno>>,
): Promise<Result<T, Errno>> {
  return driver === undefined ? err('ENODEV') : body(driver.manager);
}
const asFd = (opened: Result<number, Errno>): Result<{ fd: number }, Errno> =>
  opened.ok ? ok({ fd: opened.value }) : opened;
const asNothing = (done: Result<number, Errno>): Result<undefined, Errno> => (done.ok ? ok() : done);

const vmManager = actor<VmManagerConfig, VmManagerProtocol, State>({
  name: 'vm-manager',
  mailboxMax: 256,
  messageBytesMax: MESSAGE_BYTES_MAX,
  interleaves: true, // one process waits for a VM's end while another starts one
  asksMax: 256,
  supervision: { strategy: 'one-for-one', restartsMax: 0, withinMs: 1_000, otherwise: 'stop' },
  start(config, context) {
    const { memory, table, partition } = config;
    const ring = (number: number): void => context.ring({ actor: number }, 1);
    const ports = new Ports(
      memory.buffer,
      new ObjectTable(memory.buffer, table),
      lockOwner(partition, LOCK_INDEX),
      ring,
    );
    return ok({ config, ports, host: makeHost(config, ports, context), driver: undefined });
  },
  on: {
    connect(state, { tx, rx }) {
      if (state.driver !== undefined) return err('EBUSY');
      const { generation, vmid } = state.config;
      const rpc: RpcClient = new RpcClient(generation, state.ports.sender(tx), state.ports.receiver(rx), (message) =>
        manager.notified(message),
      );
      const manager = new VmManager(generation, rpc, vmid, state.host);
      state.driver = { rpc, manager };
      return ok();
    },
    open: (state) => withDriver(state, (manager) => asFd(manager.open())),
    eventFile: (state) => withDriver(state, (manager) => asFd(manager.eventFile())),
    signal: (state, { fd }) => withDriver(state, (manager) => asNothing(manager.signal(fd))),
    readEvent: (state, { fd }) =>
      withDriver(state, (manager) => {
        const count = manager.readEvent(fd);
        return count.ok ? ok({ count: count.value }) : count;
      }),
    ioctl: (state, call) =>
      withDriver(state, async (manager) => {
        const done = await manager.ioctl(call);
        return done.ok ? ok({ value: done.value }) : done;
      }),
    close: (state, { fd }) => withDriver(state, async (manager) => asNothing(await manager.close(fd))),
    mmap: (state, { bytes }) => withDriver(state, (manager) => manager.mmap(bytes)),
    munmap: (state, { address }) => withDriver(state, async (manager) => asNothing(await manager.munmap(address))),
    memoryOf: (state, { fd }) => withDriver(state, (manager) => manager.memoryOf(fd)),
    runPage: (state, { fd, immediateExit, answer }) =>
      withDriver(state, (manager) => {
        const page = manager.runPage(fd);
        if (!page.ok) return page;
        if (answer !== undefined) {
          const { at, bytes } = answer;
          if (!Number.isInteger(at) || at < 0 || at + bytes.length > RunMmio.sizeBytes) return err('EFAULT');
          page.value.set(bytes, at);
        }
        if (immediateExit !== undefined) {
          page.value[0] = immediateExit;
          if (immediateExit !== 0) manager.kick(fd);
        }
        return ok({ page: page.value.slice(0, RunMmio.sizeBytes) });
      }),
    over: (state, { fd }) =>
      withDriver(state, async (manager) => {
        const vm = manager.vmOf(fd);
        if (vm === undefined) return err('EBADF');
        await vm.over();
        const { exit } = vm;
        return ok({ isFailed: exit === undefined, type: exit?.type ?? 0, reason: exit?.reason ?? 0 });
      }),
  },
  rang({ driver }) {
    driver?.rpc.rang();
    driver?.manager.rang();
  },
});
export default vmManager;

/** How its worker is made. */
export const vmManagerKind = actorKind(vmManager, { module: new URL(import.meta.url), heapMegabytesMax: 64 });
