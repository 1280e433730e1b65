/**
 * Requests about lent interrupts and reserved addresses (gunyah.md 5.11). Our platform has no physical interrupt that a VM
 * could own, so a loan is kept and answered as specified but moves no line (ADR 0073).
 */

import { readList, readVmid } from './memory-parcels.js';
import { PayloadWriter } from './payload.js';
import { isWhole, type Reply, type RequestHandler, reply } from './request.js';
import { RM_ERROR as E, RM_MESSAGE as M, RM_NOTIFICATION as N } from './rm-messages.js';

const VIRQ_FIRST = 32;
const VIRQ_LAST = 1019;
const ANY = 0xffff_ffff;
const NOTIFY = { lent: 1, released: 2, accepted: 4 } as const;
const RESERVE = { fixed: 0, allocate: 1 } as const;
const RANGES_MAX = 512;
const ADDRESS_END = 1n << 48n;
const PAGE = 4096n;

const isVirq = (virq: number): boolean => virq >= VIRQ_FIRST && virq <= VIRQ_LAST;

const lend: RequestHandler = (request) => {
  const { rm, client, reader } = request;
  const borrower = reader.u16();
  reader.zero(2);
  const [virq, label] = [reader.u32(), reader.u32()];
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  if (borrower === client.vmid || rm.vms.get(borrower) === undefined) return reply(E.VMID_INVALID);
  if (!isVirq(virq)) return reply(E.IRQ_INVALID);
  if (rm.loans.all().some((loan) => loan.owner === client.vmid && loan.virq === virq)) return reply(E.IRQ_INUSE);
  const loan = rm.loans.add(client.vmid, borrower, virq, label);
  return { error: E.OK, payload: new PayloadWriter().u32(loan.handle).finish() };
};

const accept: RequestHandler = (request) => {
  const { rm, client, reader } = request;
  const [handle, virq] = [reader.u32(), reader.u32()];
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  const loan = rm.loans.get(handle);
  if (loan === undefined || loan.borrower !== client.vmid) return reply(E.HANDLE_INVALID);
  if (loan.accepted !== undefined) return reply(E.IRQ_INUSE);
  const number = virq === ANY ? loan.virq : virq;
  if (!isVirq(number)) return reply(E.IRQ_INVALID);
  loan.accepted = number;
  return { error: E.OK, payload: new PayloadWriter().u32(number).finish() };
};

const release: RequestHandler = (request) => {
  const { rm, client, reader } = request;
  const handle = reader.u32();
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  const loan = rm.loans.get(handle);
  if (loan === undefined || loan.borrower !== client.vmid) return reply(E.HANDLE_INVALID);
  if (loan.accepted === undefined) return reply(E.IRQ_RELEASED);
  loan.accepted = undefined;
  return reply(E.OK);
};

const reclaim: RequestHandler = (request) => {
  const { rm, client, reader } = request;
  const handle = reader.u32();
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  const loan = rm.loans.get(handle);
  if (loan === undefined || loan.owner !== client.vmid) return reply(E.HANDLE_INVALID);
  if (loan.accepted !== undefined) return reply(E.IRQ_INUSE);
  rm.loans.delete(handle);
  return reply(E.OK);
};

const notify: RequestHandler = (request) => {
  const { rm, client, reader } = request;
  const [handle, flags] = [reader.u32(), reader.u32()];
  const vmids =
    flags === NOTIFY.lent ? readList(reader, readVmid) : { ok: true as const, value: [] as readonly number[] };
  if (!vmids.ok) return reply(vmids.error);
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  const loan = rm.loans.get(handle);
  if (loan === undefined) return reply(E.HANDLE_INVALID);
  if (flags === NOTIFY.lent) {
    if (loan.owner !== client.vmid) return reply(E.DENIED);
    const content = new PayloadWriter().u16(loan.owner).u16(0).u32(handle).u32(loan.label).finish();
    for (const vmid of vmids.value) rm.notify(rm.vms.get(vmid), N.VM_IRQ_LENT, content);
    return reply(E.OK);
  }
  if (flags !== NOTIFY.released && flags !== NOTIFY.accepted) return reply(E.ARGUMENT_INVALID);
  if (loan.borrower !== client.vmid) return reply(E.DENIED);
  const message = flags === NOTIFY.released ? N.VM_IRQ_RELEASED : N.VM_IRQ_ACCEPTED;
  rm.notify(rm.vms.get(loan.owner), message, new PayloadWriter().u32(handle).finish());
  return reply(E.OK);
};

/** {u64 count, count numbers}: interrupts given back that were mapped to the VM. */
const unmap: RequestHandler = (request) => {
  const { rm, client, reader } = request;
  const count = reader.u64();
  if (count > BigInt(RANGES_MAX)) return reply(E.MSG_INVALID);
  const virqs = Array.from({ length: Number(count) }, () => reader.u32());
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  const mine = rm.loans.all().filter(({ borrower }) => borrower === client.vmid);
  const mapped = virqs.map((virq) => mine.find(({ accepted }) => accepted === virq));
  if (mapped.includes(undefined)) return reply(E.IRQ_NOT_MAPPED);
  for (const loan of mapped) if (loan !== undefined) loan.accepted = undefined;
  return reply(E.OK);
};

/** Addresses a VM keeps free for itself: fixed ranges, or the first fit in each of its regions. */
const reserve: RequestHandler = (request) => {
  const { client, reader } = request;
  const type = reader.u8();
  reader.zero(3);
  reader.u32();
  reader.u32();
  const count = reader.u32();
  if (count > RANGES_MAX) return reply(E.NORESOURCE);
  const asked = Array.from({ length: count }, () =>
    type === RESERVE.fixed
      ? { base: reader.u64(), end: 0n, bytes: reader.u64(), align: PAGE }
      : { base: reader.u64(), end: reader.u64(), bytes: reader.u64(), align: reader.u64() },
  );
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  if (type > RESERVE.allocate || count === 0) return reply(E.ARGUMENT_INVALID);
  const taken = [...client.reserved];
  const isFree = (base: bigint, bytes: bigint): boolean =>
    taken.every((range) => base + bytes <= range.base || range.base + range.bytes <= base);
  for (const { base, end, bytes, align } of asked) {
    const isPages = bytes > 0n && bytes % PAGE === 0n && base % PAGE === 0n && base + bytes <= ADDRESS_END;
    const isPower = align >= PAGE && (align & (align - 1n)) === 0n;
    if (!isPages || !isPower || base + end > ADDRESS_END) return reply(E.ARGUMENT_INVALID);
    const last = type === RESERVE.fixed ? base : base + end - bytes;
    const place = firstFit(base, last, align, (at) => isFree(at, bytes), taken);
    if (place === undefined) return reply(E.NORESOURCE);
    taken.push({ base: place, bytes });
  }
  const fresh = taken.slice(client.reserved.length);
  client.reserved.push(...fresh);
  return type === RESERVE.fixed ? reply(E.OK) : places(fresh);
};

function places(ranges: readonly { readonly base: bigint }[]): Reply {
  const out = new PayloadWriter().u32(ranges.length);
  for (const { base } of ranges) out.u64(base);
  return { error: E.OK, payload: out.finish() };
}

/** First aligned place from `from` to `last`: only `from` and the ends of what is taken can be it. */
function firstFit(
  from: bigint,
  last: bigint,
  align: bigint,
  isFree: (at: bigint) => boolean,
  taken: readonly { readonly base: bigint; readonly bytes: bigint }[],
): bigint | undefined {
  const up = (at: bigint): bigint => ((at + align - 1n) / align) * align;
  const candidates = [from, ...taken.map(({ base, bytes }) => base + bytes)].map(up).filter((at) => at >= from);
  return candidates.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)).find((at) => at <= last && isFree(at));
}

const unreserve: RequestHandler = (request) => {
  const { client, reader } = request;
  reader.u8();
  reader.zero(3);
  reader.u32();
  reader.u32();
  const count = reader.u32();
  if (count > RANGES_MAX) return reply(E.NORESOURCE);
  const ranges = Array.from({ length: count }, () => ({ base: reader.u64(), bytes: reader.u64() }));
  if (!isWhole(request)) return reply(E.MSG_INVALID);
  const at = ranges.map(({ base, bytes }) => client.reserved.findIndex((r) => r.base === base && r.bytes === bytes));
  if (at.includes(-1)) return reply(E.ARGUMENT_INVALID);
  for (const { base } of ranges) {
    const index = client.reserved.findIndex((range) => range.base === base);
    if (index >= 0) client.reserved.splice(index, 1);
  }
  return reply(E.OK);
};

/** The handlers by message. */
export const INTERRUPT_REQUESTS: readonly (readonly [number, RequestHandler])[] = [
  [M.VM_IRQ_LEND, lend],
  [M.VM_IRQ_ACCEPT, accept],
  [M.VM_IRQ_RELEASE, release],
  [M.VM_IRQ_RECLAIM, reclaim],
  [M.VM_IRQ_NOTIFY, notify],
  [M.VM_IRQ_UNMAP, unmap],
  [M.IPA_RESERVE, reserve],
  [M.IPA_UNRESERVE, unreserve],
];
