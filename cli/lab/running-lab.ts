/**
 * A lab that runs: starts what its file says on a host, keeps consoles and states, starts VMs again as their policies say,
 * and ends in order. It has no terminal and no socket; both look at it.
 */
import { Subject, type Subscription } from 'rxjs';
import { err, ok, type Result } from '../../bus/result.js';
import { ConsoleLog } from './console-log.js';
import { Keyboard } from './keyboard.js';
import type { Lab, LabVmSpec, RestartPolicy } from './lab-file.js';
import type { LabEvent, LabHost, LabVm, VmEnd } from './lab-host.js';

/** Where a member of a lab stands. `waiting`: it will be started again. */
export type MemberState = 'starting' | 'running' | 'ended' | 'waiting' | 'refused';

/** A VM of a lab through all its lives: one of the file's, or one that a guest made. */
export class Member {
  readonly name: string;
  /** Absent for a VM that a guest made. */
  readonly spec: LabVmSpec | undefined;
  readonly log = new ConsoleLog();
  readonly keyboard = new Keyboard(() => this.vm);
  state: MemberState = 'starting';
  vm: LabVm | undefined;
  /** How its last life ended. */
  end: VmEnd | undefined;
  /** Lives after the first. */
  restarts = 0;
  startedMs = 0;
  /** Times of the policy's restarts, the newest last. */
  readonly restartedMs: number[] = [];
  /** The user ended it: the policy has no say. */
  isUnwanted = false;
  timer: NodeJS.Timeout | undefined;
  output: Subscription | undefined;

  constructor(name: string, spec: LabVmSpec | undefined) {
    this.name = name;
    this.spec = spec;
  }

  /** Why it ended, as a sentence part. */
  get why(): string {
    if (this.end === undefined) return '';
    const { reason, detail } = this.end;
    return detail === '' ? REASONS[reason] : `${REASONS[reason]}: ${detail}`;
  }
}

const REASONS: Readonly<Record<VmEnd['reason'], string>> = {
  off: 'powered off',
  reset: 'reset or panicked',
  crash: 'crashed',
  requested: 'ended',
};

/** Something to tell a person. */
export interface LabNews {
  readonly member: Member | undefined;
  readonly text: string;
}

/** Why a request was refused. */
export type Refusal = 'unknown' | 'notRunning' | 'running' | 'guestMade' | 'refused';

const RESTART_DELAY_MS = 200;

/** See the head of this file. */
export class RunningLab {
  readonly lab: Lab;
  readonly host: LabHost;
  readonly members = new Map<string, Member>();
  readonly news = new Subject<LabNews>();
  /** A life began or ended. */
  readonly changes = new Subject<Member>();
  readonly #nowMs: () => number;
  readonly #subscription: Subscription;
  #isEnding = false;

  constructor(lab: Lab, host: LabHost, nowMs: () => number) {
    this.lab = lab;
    this.host = host;
    this.#nowMs = nowMs;
    for (const spec of lab.vms) this.members.set(spec.name, new Member(spec.name, spec));
    this.#subscription = host.events.subscribe((event) => this.#happened(event));
  }

  /** Links, then VMs, in the order of the file. The first refusal is a sentence; what started is for {@link down} to end. */
  async start(): Promise<Result<undefined, string>> {
    for (const link of this.lab.links) {
      const made = await this.host.link(link);
      if (!made.ok) return err(`links.${link.name}: ${made.error}`);
    }
    for (const member of [...this.members.values()]) {
      if (this.#isEnding) return ok();
      const started = await this.#begin(member);
      if (!started.ok) return err(`vms.${member.name}: ${started.error}`);
    }
    return ok();
  }

  async #begin(member: Member): Promise<Result<undefined, string>> {
    if (member.spec === undefined) return err('a guest made it');
    member.state = 'starting';
    const started = await this.host.start(member.spec);
    if (started.ok) {
      this.#live(member, started.value);
      return ok();
    }
    member.state = 'refused';
    member.end = { reason: 'crash', detail: started.error };
    member.log.note(`not started: ${started.error}`);
    this.#changed(member);
    return err(started.error);
  }

  /** `vm` is `member`'s life now. */
  #live(member: Member, vm: LabVm): void {
    if (member.vm === vm) return;
    member.vm = vm;
    member.isUnwanted = false;
    member.state = 'running';
    member.startedMs = this.#nowMs();
    member.output = vm.output.subscribe((chunk) => member.log.add(chunk));
    // A VM may have ended before anybody knew it.
    void vm.ended.then((end) => this.#ended(member, vm, end));
    this.#changed(member);
    if (this.#isEnding) vm.kill('the lab ends');
  }

  #happened(event: LabEvent): void {
    if (event.kind === 'workerDied') {
      const member = event.vm === undefined ? undefined : this.members.get(event.vm);
      const what = event.restarts ? ', and is started again' : '';
      const text = `${event.worker}: ${event.detail}${what}`;
      member?.log.note(text);
      this.news.next({ member, text });
      return;
    }
    const { vm } = event;
    if (event.kind === 'started' && vm.madeBy !== undefined) {
      const known = this.members.get(vm.name);
      const member = known ?? new Member(vm.name, undefined);
      this.members.set(vm.name, member);
      if (known !== undefined) member.restarts++;
      this.#live(member, vm);
      this.news.next({ member, text: `made by ${vm.madeBy}` });
    }
  }

  #ended(member: Member, vm: LabVm, end: VmEnd): void {
    if (member.vm !== vm || member.state !== 'running') return;
    member.output?.unsubscribe();
    member.keyboard.clear();
    member.end = end;
    member.state = 'ended';
    member.log.note(member.why);
    this.news.next({ member, text: member.why });
    this.#again(member, end);
    this.#changed(member);
  }

  /** Starts it again if its policy says so. */
  #again(member: Member, end: VmEnd): void {
    const { spec } = member;
    if (spec === undefined || this.#isEnding || member.isUnwanted || !wants(spec.restart, end)) return;
    const now = this.#nowMs();
    const { restartsMax, withinMs } = spec.restart;
    while (member.restartedMs.length > 0 && now - (member.restartedMs[0] ?? 0) > withinMs) member.restartedMs.shift();
    if (member.restartedMs.length >= restartsMax) {
      const text = `stays down: started again ${restartsMax} times within ${withinMs / 1000} s`;
      member.log.note(text);
      this.news.next({ member, text });
      return;
    }
    member.restartedMs.push(now);
    member.state = 'waiting';
    member.timer = setTimeout(() => void this.#restartNow(member), RESTART_DELAY_MS);
  }

  async #restartNow(member: Member): Promise<Result<undefined, string>> {
    clearTimeout(member.timer);
    member.restarts++;
    member.log.note(`started again (${member.restarts})`);
    const begun = await this.#begin(member);
    this.news.next({ member, text: begun.ok ? 'started again' : `not started again: ${begun.error}` });
    return begun;
  }

  #changed(member: Member): void {
    this.changes.next(member);
  }

  #isUp({ state }: Member): boolean {
    return state === 'running' || state === 'starting';
  }

  /** True when nothing runs and nothing will. */
  get isOver(): boolean {
    return [...this.members.values()].every(({ state }) => state === 'ended' || state === 'refused');
  }

  #running(name: string): Result<{ readonly member: Member; readonly vm: LabVm }, Refusal> {
    const member = this.members.get(name);
    if (member === undefined) return err('unknown');
    if (member.state === 'waiting') {
      clearTimeout(member.timer);
      member.isUnwanted = true;
      member.state = 'ended';
      this.#changed(member);
      return err('notRunning');
    }
    if (member.vm === undefined || member.state !== 'running') return err('notRunning');
    return ok({ member, vm: member.vm });
  }

  /** Presses the power button, and after `graceMs` ends the VM. Answers when it has ended; it is not started again. */
  async stop(name: string, graceMs: number): Promise<Result<Member, Refusal>> {
    const found = this.#running(name);
    if (!found.ok) return found;
    const { member, vm } = found.value;
    member.isUnwanted = true;
    vm.shutDown();
    const timer = setTimeout(() => vm.kill(`it did not power off within ${graceMs / 1000} s`), graceMs);
    await vm.ended;
    clearTimeout(timer);
    this.#ended(member, vm, await vm.ended);
    return ok(member);
  }

  /** Ends the VM at once; it is not started again. */
  async kill(name: string): Promise<Result<Member, Refusal>> {
    const found = this.#running(name);
    if (!found.ok) return found;
    const { member, vm } = found.value;
    member.isUnwanted = true;
    vm.kill('wurley kill');
    this.#ended(member, vm, await vm.ended);
    return ok(member);
  }

  /** Stops the VM if it runs, and starts it. The second error is the host's sentence. */
  async restart(name: string, graceMs: number): Promise<Result<Member, Refusal | { readonly sentence: string }>> {
    const member = this.members.get(name);
    if (member === undefined) return err('unknown');
    if (member.spec === undefined) return err('guestMade');
    if (member.state === 'starting' || this.#isEnding) return err('running');
    const stopped = await this.stop(name, graceMs);
    if (!stopped.ok && stopped.error !== 'notRunning') return stopped;
    // Somebody else may have begun while we waited.
    if (this.#isUp(member)) return err('running');
    const begun = await this.#restartNow(member);
    return begun.ok ? ok(member) : err({ sentence: begun.error });
  }

  /** Ends everything: power buttons first, after `graceMs` (0: at once) by force. Members keep their logs. */
  async down(graceMs: number): Promise<void> {
    this.#isEnding = true;
    await Promise.all(
      [...this.members.keys()].map((name) => (graceMs === 0 ? this.kill(name) : this.stop(name, graceMs))),
    );
    this.#subscription.unsubscribe();
    for (const { log } of this.members.values()) log.close();
    await this.host.dispose();
  }

  /** Ends what an orderly end in progress still waits for. */
  hurry(): void {
    for (const { vm, state } of this.members.values()) if (state === 'running') vm?.kill('it was ended at once');
  }
}

function wants({ policy }: RestartPolicy, { reason }: VmEnd): boolean {
  if (policy === 'never' || reason === 'requested') return false;
  return policy === 'always' || reason === 'crash' || reason === 'reset';
}
