/** What the control interface says of a lab: plain objects for JSON. */
import type { Lab, LabVmSpec } from './lab-file.js';
import type { LinkSpec, QueueCounters, VmEnd } from './lab-host.js';
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

/** The whole lab. */
export interface LabView {
  readonly name: string;
  readonly file: string;
  readonly pid: number;
  readonly vms: readonly (VmView & { readonly spec: LabVmSpec | null; readonly forgottenLogBytes: number })[];
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
export function labView(running: RunningLab, file: string, nowMs: number): LabView {
  const { lab, host, members }: { lab: Lab; host: RunningLab['host']; members: RunningLab['members'] } = running;
  return {
    ...{ name: lab.name, file, pid: process.pid, links: lab.links, queues: host.queues() },
    vms: [...members.values()].map((member) => ({
      ...vmView(member, nowMs),
      spec: member.spec ?? null,
      forgottenLogBytes: member.log.forgottenBytes,
    })),
  };
}
