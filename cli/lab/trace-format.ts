/** Decoded calls as lines: for people and grep, and as JSON. Times are seconds since the trace's first call. */
import type { DecodedCall } from './call-decode.js';

const seconds = (ns: number): string => (ns / 1e9).toFixed(6);
const pairs = (values: Readonly<Record<string, string | number>>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ');

/**
 * `0.001234 alice/0 msgqueue_send(msgqueue=0x4, ...) = ok not_full=0x1 2.1us  chat #7 -> bob 24 B  [VM_START #3 vmid=128]`:
 * time, VM and vCPU, the call, what it answered and how long it took; the message it moved; the resource manager's packet.
 */
export function callText(call: DecodedCall, originNs: number): string {
  const results = pairs(call.results);
  const took = `${(call.durationNs / 1000).toFixed(1)}us`;
  const { message, rm } = call;
  const arrow = message?.direction === 'send' ? '->' : '<-';
  const moved =
    message === undefined ? '' : `  ${message.queue} #${message.sequence} ${arrow} ${message.peer} ${message.bytes} B`;
  const fields = rm === undefined ? '' : pairs(rm.fields);
  const packet = rm === undefined ? '' : `  [${rm.type} ${rm.name} #${rm.sequence}${fields && ` ${fields}`}]`;
  const lost = call.lost === 0 ? '' : `  (${call.lost} calls before it were lost)`;
  const answer = `${call.result}${results && ` ${results}`}`;
  const head = `${seconds(call.startNs - originNs)} ${call.vm}/${call.vcpu}`;
  return `${head} ${call.name}(${pairs(call.args)}) = ${answer} ${took}${moved}${packet}${lost}`;
}

/** The same as one JSON object; what is absent is left out. */
export function callJson(call: DecodedCall, originNs: number): string {
  const { startNs, durationNs, lost, groups, ...rest } = call;
  return JSON.stringify({
    t: Number(seconds(startNs - originNs)),
    us: durationNs / 1000,
    ...rest,
    ...(lost === 0 ? {} : { lost }),
  });
}
