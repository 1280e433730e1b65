/**
 * The GDB stub: listens on the loopback interface, and gives the first debugger that connects a session over the machine's
 * vCPUs. While nobody is connected it costs nothing.
 */
import { err, ok } from '../../bus/result.js';
import { type ActorContext, actor, actorKind } from '../runtime/actor.js';
import type { Connection, ConnectionHandlers, Listener } from '../runtime/sockets.js';
import type { GdbConfig, GdbProtocol } from './gdb.protocol.js';
import { type Arrival, encodePacket, PacketReader } from './packets.js';
import { GdbSession } from './session.js';
import { VcpuTarget } from './vcpu-target.js';

/** A connected debugger. What it asks is done in order; `work` is the end of what has been asked. */
interface Attached {
  readonly session: GdbSession;
  readonly connection: Connection;
  work: Promise<void>;
}

interface GdbState {
  readonly listener: Listener;
  /** One for all sessions: it knows how long the guest's clock has stood still. */
  readonly target: VcpuTarget;
  attached: Attached | undefined;
}

/** Does `action` when everything before it is done. */
function enqueue(attached: Attached, context: ActorContext<GdbProtocol>, action: () => Promise<void>): Promise<void> {
  attached.work = attached.work.then(action).catch((thrown: unknown) => {
    context.log.warn(`the debugger's session failed: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    attached.connection.close();
  });
  return attached.work;
}

/** One arrival: acknowledged at once, done in order. */
function arrived(attached: Attached, context: ActorContext<GdbProtocol>, arrival: Arrival, sent: Sent): void {
  const { session, connection } = attached;
  const raw = (text: string): void => connection.write(Buffer.from(text, 'latin1'));
  if (arrival.kind === 'packet') {
    if (!session.quiet) raw('+');
    void enqueue(attached, context, async () => {
      await session.packet(arrival.text);
      if (session.over) connection.close();
    });
  } else if (arrival.kind === 'interrupt') void enqueue(attached, context, () => session.interrupt());
  else if (arrival.kind === 'damaged') raw('-');
  else if (arrival.kind === 'again') raw(sent.last);
}

/** The packet sent last, for a debugger that asks for it again. */
interface Sent {
  last: string;
}

function connected(
  state: { current: GdbState | undefined },
  context: ActorContext<GdbProtocol>,
  connection: Connection,
): ConnectionHandlers {
  const owner = state.current;
  if (owner === undefined || owner.attached !== undefined) {
    connection.close();
    return { data: () => undefined, closed: () => undefined };
  }
  const sent: Sent = { last: '' };
  const session = new GdbSession(owner.target, (text) => {
    sent.last = encodePacket(text);
    connection.write(Buffer.from(sent.last, 'latin1'));
  });
  const attached: Attached = { session, connection, work: Promise.resolve() };
  owner.attached = attached;
  void enqueue(attached, context, () => session.attach());
  const reader = new PacketReader();
  return {
    data(bytes) {
      for (const arrival of reader.take(bytes)) arrived(attached, context, arrival, sent);
    },
    closed() {
      void enqueue(attached, context, () => session.leave()).then(() => {
        owner.attached = undefined;
      });
    },
  };
}

const gdb = actor<GdbConfig, GdbProtocol, GdbState>({
  name: 'gdb',
  mailboxMax: 64,
  messageBytesMax: 2048,
  supervision: { strategy: 'one-for-one', restartsMax: 0, withinMs: 1_000, otherwise: 'stop' },
  async start(config, context) {
    const holder: { current: GdbState | undefined } = { current: undefined };
    const listening = await context.listen(config.listen, (connection) => connected(holder, context, connection));
    if (!listening.ok) return err(listening.error);
    holder.current = { listener: listening.value, target: new VcpuTarget(context, config), attached: undefined };
    return ok(holder.current);
  },
  on: {
    async hold({ target }) {
      await target.stopAll();
      return ok({});
    },
    where: ({ listener }) => ok({ port: listener.port }),
    stopped({ attached, target }, event, context) {
      if (target.stopped(event) && attached !== undefined)
        void enqueue(attached, context, () => attached.session.stopped(event));
    },
    async machineEnded({ attached }, { code }, context) {
      if (attached === undefined) return ok({});
      await enqueue(attached, context, async () => {
        attached.session.ended(code);
        attached.connection.close();
      });
      return ok({});
    },
  },
  stop({ listener, attached }) {
    attached?.connection.close();
    listener.close();
  },
});
export default gdb;

/** How its worker is made. */
export const gdbKind = actorKind(gdb, { module: new URL(import.meta.url), heapMegabytesMax: 64 });
