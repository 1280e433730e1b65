/** What the control interface says of a lab: plain objects for JSON. */
import type { Lab, LabVmSpec } from './lab-file.js';
import type { LinkSpec, QueueCounters, VcpuCounters, VmEnd } from './lab-host.js';
import type { Member, MemberState, RunningLab } from './running-lab.js';

/** One line of `wurley ps`. */
export interface VmView {
  readonly name: string;
  readonly vmid: number;
  readonly state: MemberState;
  /** How its last life ended; null before. */
  readonly end: VmEnd | null;
  readonly restarts: number;
  readonly upSeconds: number;
  /** The VM whose guest made it; null: the lab's file. */
  readonly madeBy: string | null;
}

/** One VM in {@link LabView}. */
export interface VmDetails extends VmView {
  readonly spec: LabVmSpec | null;
  readonly forgottenLogBytes: number;
  /** Its vCPUs while it runs, and the host's thread of each, for tools such as `taskset`. */
  readonly vcpus: readonly Pick<VcpuCounters, 'index' | 'state' | 'hostThread'>[];
}

/** The whole lab. */
export interface LabView {
  readonly name: string;
  readonly file: string;
  readonly pid: number;
  readonly vms: readonly VmDetails[];
  readonly links: readonly LinkSpec[];
  readonly queues: readonly QueueCounters[];
}

/** One VM as it stands at `nowMs`. */
export function vmView({ name, vm, state, end, restarts, startedMs }: Member, nowMs: number): VmView {
  return {
    ...{ name, vmid: vm?.vmid ?? 0, state, end: end ?? null, restarts, madeBy: vm?.madeBy ?? null },
    upSeconds: state === 'running' ? Math.round(nowMs - startedMs) / 1000 : 0,
  };
}

/** The lab as it stands. */
export async function labView(running: RunningLab, file: string, nowMs: number): Promise<LabView> {
  const { lab, host, members }: { lab: Lab; host: RunningLab['host']; members: RunningLab['members'] } = running;
  const details = async (member: Member): Promise<VmDetails> => {
    const counters = member.state === 'running' ? ((await member.vm?.counters()) ?? []) : [];
    const vcpus = counters.map(({ index, state, hostThread }) => ({ index, state, hostThread }));
    return {
      ...vmView(member, nowMs),
      ...{ spec: member.spec ?? null, forgottenLogBytes: member.log.forgottenBytes, vcpus },
    };
  };
  const vms = await Promise.all([...members.values()].map(details));
  return { name: lab.name, file, pid: process.pid, vms, links: lab.links, queues: host.queues() };
}
