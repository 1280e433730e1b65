/**
 * Requests in, replies out (gunyah.md 5.1): one at a time per client, in the order they arrive; every request gets its reply,
 * and a refused one changes nothing.
 */
import { CONSOLE_REQUESTS } from './console-requests.js';
import { FIRMWARE_REQUESTS } from './firmware-requests.js';
import { INTERRUPT_REQUESTS } from './interrupt-requests.js';
import { LIFECYCLE_REQUESTS } from './lifecycle-requests.js';
import { MEMORY_REQUESTS } from './memory-requests.js';
import { PayloadReader, PayloadWriter } from './payload.js';
import { QUERY_REQUESTS } from './query-requests.js';
import { type Reply, type RequestHandler, reply } from './request.js';
import type { ResourceManager } from './resource-manager.js';
import { RM_ERROR } from './rm-messages.js';
import { PACKET, type RpcMessage } from './rpc-packet.js';
import type { Vm } from './vm.js';

const HANDLERS: ReadonlyMap<number, RequestHandler> = new Map([
  ...LIFECYCLE_REQUESTS,
  ...MEMORY_REQUESTS,
  ...QUERY_REQUESTS,
  ...CONSOLE_REQUESTS,
  ...INTERRUPT_REQUESTS,
  ...FIRMWARE_REQUESTS,
]);

/** Carries out one request of `client`. */
export async function handleRequest(rm: ResourceManager, client: Vm, message: RpcMessage): Promise<Reply> {
  const handler = HANDLERS.get(message.message);
  if (handler === undefined) return reply(RM_ERROR.UNIMPLEMENTED);
  // P6 sends surplus bytes in some requests (section 5.1, open point 12).
  return handler({ rm, client, reader: new PayloadReader(message.content), isStrict: client.profile !== 'P6' });
}

/**
 * Takes what a client has sent and answers it. While a reply waits for room no further request is taken: it stays in the
 * client's queue, so nothing that was accepted goes unanswered however slowly a client reads.
 */
export async function serveClient(rm: ResourceManager, client: Vm): Promise<void> {
  const { link } = client;
  if (link === undefined) return;
  link.flush();
  while (!link.hasReplyWaiting) {
    const message = link.next();
    if (message === undefined) return;
    const answer = await handleRequest(rm, client, message);
    const content = new PayloadWriter().u32(answer.error);
    if (answer.payload !== undefined) content.bytes(answer.payload);
    const { sequence, message: id } = message;
    link.send({ type: PACKET.reply, sequence, message: id, content: content.finish() });
    await answer.after?.();
    if (client.link !== link) return;
  }
}
