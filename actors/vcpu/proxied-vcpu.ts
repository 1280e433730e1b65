/**
 * A vCPU that runs when somebody runs it (gunyah.md 2.9): its side of the hand-over in shared-state/vm/proxied-run.ts. The
 * shell asks before every run of guest code whether it has the turn, and parks here with the state the runner is told.
 */
import type { Clock } from '../runtime/services.js';
import type { Stage2Reader } from '../shared-state/stage2/stage2-map.js';
import { ProxiedRun, RUN_STATE, type RunExit, type RunState } from '../shared-state/vm/proxied-run.js';
import type { ResetAsked, Ring, VmBlock } from '../shared-state/vm/vm-block.js';
import { VmmioRanges } from '../shared-state/vm/vmmio-ranges.js';
import type { GuestMemory } from './guest-memory.js';
import type { GunyahCalls } from './gunyah-calls.js';
import { HeldAccesses } from './held-accesses.js';

/** Why a waiting vCPU waits: X3 of EXPECTS_WAKEUP. */
const WAKE_REASON = { wfi: 1, cpuSuspend: 2 } as const;
/** X2 of POWERED_OFF: it will never run again. */
const GONE = 1n;
/** X2 of PSCI_SYSTEM_RESET: bit 63 for SYSTEM_RESET rather than SYSTEM_RESET2, whose SMC64 form bit 62 marks. */
const PLAIN_RESET = 1n << 63n;
const WIDE_RESET = 1n << 62n;

/** What the vCPU is doing, as far as it matters here. */
interface ProxiedShell {
  readonly ring: Ring;
  readonly held: HeldAccesses;
  nowMs(): number;
  /** How long a turn lasts, in milliseconds. */
  timesliceMs(): number;
  /** Raises the wake-up interrupt. */
  wakeOwner(): void;
}

/** See the head of this file. */
export class ProxiedVcpu {
  readonly #run: ProxiedRun;
  readonly #shell: ProxiedShell;
  /** Whether the turn that is on has begun. */
  #inTurn = false;
  #startedMs = 0;
  /** Looks in this turn: the guest gets somewhere in every turn, even that of a runner which is interrupted all the time. */
  #looks = 0;
  /** State of CPU_SUSPEND that the guest is in; undefined: plain WFI. */
  suspendState: bigint | undefined;

  constructor(run: ProxiedRun, shell: ProxiedShell) {
    this.#run = run;
    this.#shell = shell;
  }

  /** Whether the vCPU is one that others run. */
  get isOn(): boolean {
    return this.#run.isProxied;
  }

  /** Whether it may run guest code now. The first call of a turn takes what the runner gave. */
  get hasTurn(): boolean {
    if (!this.#run.hasTurn) return false;
    if (!this.#inTurn) {
      this.#inTurn = true;
      this.#looks = 0;
      this.#startedMs = this.#shell.nowMs();
      const { value, action } = this.#run.resume;
      this.#shell.held.resume(value, action);
    }
    return true;
  }

  /** Whether the turn is over though the guest could go on. */
  get isTurnOver(): boolean {
    if (this.#looks++ === 0) return false;
    return this.#run.isRecalled || this.#shell.nowMs() - this.#startedMs >= this.#shell.timesliceMs();
  }

  #park(state: RunState, data: RunExit['data'] = [0n, 0n, 0n]): void {
    this.#inTurn = false;
    this.#shell.ring(this.#run.park(state, data));
  }

  /** The turn is over; the guest wants to go on. */
  parkReady(): void {
    this.#park(RUN_STATE.ready);
  }
  /** Something other than the guest keeps it from running. */
  parkBlocked(): void {
    this.#park(RUN_STATE.blocked);
  }
  /** The guest waits for an interrupt. */
  parkWaiting(): void {
    const { suspendState } = this;
    const reason = suspendState === undefined ? WAKE_REASON.wfi : WAKE_REASON.cpuSuspend;
    this.#park(RUN_STATE.expectsWakeup, [suspendState ?? 0n, BigInt(reason), 0n]);
  }
  /** It is off: `forever` when it was killed, or its VM has ended. */
  parkOff(forever: boolean): void {
    this.#park(RUN_STATE.poweredOff, [forever ? GONE : 0n, 0n, 0n]);
  }
  /** The guest asked for the VM to be reset, by SYSTEM_RESET2 if `asked` is there. */
  parkReset(asked: ResetAsked | undefined): void {
    const what = asked === undefined ? PLAIN_RESET : BigInt(asked.type) | (asked.isWide ? WIDE_RESET : 0n);
    this.#park(RUN_STATE.systemReset, [what, asked?.cookie ?? 0n, 0n]);
  }
  /** The access of instruction `word` is the runner's to answer; or it is not, and the guest goes on to its abort. */
  parkHeld(word: number | undefined): void {
    const exit = this.#shell.held.take(word);
    // WHY: take() answers exits with states of RUN_STATE only.
    if (exit !== undefined) this.#park(exit.state as RunState, exit.data);
  }

  /** It is parked, and has something to do again or will never have: its owner is told, once. */
  callOwner(): void {
    if (!this.#run.callAttention()) return;
    this.#shell.wakeOwner();
    if (this.#run.waiter !== 0) this.#shell.ring(this.#run.waiter);
  }
}

/** Where the parts of a vCPU are. */
interface ProxiedPlaces {
  readonly memory: ArrayBufferLike;
  readonly block: VmBlock;
  readonly index: number;
  readonly guest: GuestMemory;
  readonly stage2: Stage2Reader;
}

/** How long a turn lasts, in milliseconds. */
const TURN_MS = 5;

/** Lets others run the vCPU at `places`: its accesses to their devices are held, and its stores to registers between VMs carried out. */
export function makeProxied(
  { memory, block, index, guest, stage2 }: ProxiedPlaces,
  { ring, clock }: { readonly ring: Ring; readonly clock: Clock },
  gunyah: GunyahCalls,
): ProxiedVcpu {
  const run = new ProxiedRun(memory, block, index);
  const held = new HeldAccesses({
    ranges: new VmmioRanges(memory, block),
    isProxied: () => run.hasTurn,
    isUnmapped: (ipa) => stage2.entry(Math.floor(ipa / 4096)) === 0,
    pageFaults: gunyah.profile === 'P17',
  });
  guest.held = held;
  guest.registers = (...store) => gunyah.ports.store(...store);
  return new ProxiedVcpu(run, {
    ...{ ring, held, nowMs: () => clock.monotonicMs() },
    timesliceMs: () => TURN_MS,
    wakeOwner: () => gunyah.announceWakeup(),
  });
}
