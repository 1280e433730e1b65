/** The console of a VM over RPC: characters between it and its owner (gunyah.md 5.10). */
import { PayloadWriter } from './payload.js';
import { isWhole, type Request, type RequestHandler, reply } from './request.js';
import { RM_ERROR as E, RM_MESSAGE as M, RM_NOTIFICATION, VMID } from './rm-messages.js';
import type { Vm } from './vm.js';

/** Which console a request names, and on which side the client stands; or the error. */
function side(request: Request, target: number): { readonly vm: Vm; readonly isOwner: boolean } | number {
  const { rm, client } = request;
  if (target === VMID.SELF) {
    // The primary VM has no owner and therefore no console of this kind.
    return client.vmid === VMID.HLOS ? E.ARGUMENT_INVALID : { vm: client, isOwner: false };
  }
  const vm = rm.vms.get(target);
  if (vm === undefined || vm.config === undefined) return E.ARGUMENT_INVALID;
  return vm.owner === client.vmid ? { vm, isOwner: true } : E.DENIED;
}

const open =
  (value: boolean): RequestHandler =>
  (request) => {
    const target = request.reader.u16();
    request.reader.zero(2);
    if (!isWhole(request)) return reply(E.MSG_INVALID);
    const found = side(request, target);
    if (typeof found === 'number') return reply(found);
    const { vm, isOwner } = found;
    if (!value && !(isOwner ? vm.console.owner : vm.console.own)) return reply(E.DENIED);
    if (isOwner) vm.console.owner = value;
    else vm.console.own = value;
    return reply(E.OK);
  };

const write: RequestHandler = (request) => {
  const { rm, reader } = request;
  const [target, count] = [reader.u16(), reader.u16()];
  const text = reader.bytes(count);
  if (!reader.isValid || reader.rest !== 0) return reply(E.MSG_INVALID);
  const found = side(request, target);
  if (typeof found === 'number') return reply(found);
  const { vm, isOwner } = found;
  if (!(isOwner ? vm.console.owner : vm.console.own)) return reply(E.DENIED);
  const isHeard = isOwner ? vm.console.own : vm.console.owner;
  if (!isHeard) return reply(E.OK);
  const content = new PayloadWriter()
    .u16(isOwner ? 0 : vm.vmid)
    .u16(count)
    .bytes(text)
    .finish();
  rm.notify(isOwner ? vm : rm.vms.get(vm.owner), RM_NOTIFICATION.VM_CONSOLE_CHARS, content);
  return reply(E.OK);
};

const flush: RequestHandler = (request) => {
  const target = request.reader.u16();
  request.reader.zero(2);
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  const found = side(request, target);
  if (typeof found === 'number') return reply(found);
  const { vm, isOwner } = found;
  // What was written has been handed on already: there is nothing to wait for.
  return reply((isOwner ? vm.console.owner : vm.console.own) ? E.OK : E.DENIED);
};

/** The handlers by message. */
export const CONSOLE_REQUESTS: readonly (readonly [number, RequestHandler])[] = [
  [M.VM_CONSOLE_OPEN, open(true)],
  [M.VM_CONSOLE_CLOSE, open(false)],
  [M.VM_CONSOLE_WRITE, write],
  [M.VM_CONSOLE_FLUSH, flush],
];
