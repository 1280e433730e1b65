/** HVC and SMC of a guest: who answers which call, with what is written down about it. */
import type { Core } from '../../cpu/core.js';
import { EXIT, STATE } from '../../cpu/state.js';
import type { PsciServices } from '../abi/psci/psci.js';
import { type Entropy, trngCall, trngName } from '../abi/smccc/trng.js';
import type { CallRecorder } from './call-recorder.js';
import { answerOnly, callName, guestCall } from './guest-calls.js';
import type { GunyahCalls } from './gunyah-calls.js';
import { describeGunyahCall } from './gunyah-trace.js';
import type { VcpuTracer } from './tracer.js';

/** What of its vCPU it needs. */
export interface AnsweringVcpu {
  readonly core: Core;
  readonly psci: PsciServices;
  /** Absent on a VM without Gunyah. */
  readonly gunyah: GunyahCalls | undefined;
  readonly tracer: VcpuTracer | undefined;
  readonly recorder: CallRecorder | undefined;
  readonly entropy: Entropy | undefined;
  /** Counts by reason; calls answered at once are counted here. */
  readonly exits: Float64Array;
  /** Whether a call has switched the vCPU off, which is then announced by powerOff. */
  isOff(): boolean;
  powerOff(): void;
}

/** See the head of this file. */
export class GuestCallAnswers {
  readonly #vcpu: AnsweringVcpu;
  readonly #argument = (index: 1 | 2 | 3): bigint => this.#vcpu.core.get64(index * 8);

  constructor(vcpu: AnsweringVcpu) {
    this.#vcpu = vcpu;
  }

  /** Answers the call that the guest has just made; its pc is behind it. */
  answer(instruction: 'hvc' | 'smc'): void {
    const { core, gunyah, recorder } = this.#vcpu;
    if (recorder?.isOn !== true) {
      this.#answer(instruction);
      return;
    }
    const immediate = core.get32(STATE.exitInfo);
    recorder.called();
    this.#answer(instruction);
    recorder.answered(instruction, immediate, gunyah);
  }

  #answer(instruction: 'hvc' | 'smc'): void {
    const { core, tracer, gunyah, entropy, psci } = this.#vcpu;
    if (gunyah !== undefined) {
      const immediate = core.get32(STATE.exitInfo);
      const describe = tracer === undefined ? undefined : describeGunyahCall(core.state, instruction, immediate);
      if (gunyah.handle(instruction, immediate) === 'done') {
        if (describe !== undefined) tracer?.hypercall(describe());
        if (this.#vcpu.isOff()) this.#vcpu.powerOff();
        return;
      }
    }
    const id = core.get32(0) >>> 0;
    const args = tracer === undefined ? [] : [1, 2, 3].map((n) => core.get64(n * 8));
    const trng = entropy === undefined ? undefined : trngName(id);
    if (trng !== undefined && entropy !== undefined) {
      const results = trngCall(id, core.get64(8), entropy);
      for (const [n, value] of results.entries()) core.set64(n * 8, BigInt.asUintN(64, value));
      tracer?.call(trng, id, args, Number(results[0]));
      return;
    }
    const answer = guestCall(psci, id, this.#argument);
    tracer?.call(callName(id), id, args, answer);
    if (answer !== undefined) core.state.setHalves(0, answer | 0, Math.floor(answer / 2 ** 32));
    else if (this.#vcpu.isOff()) {
      tracer?.power('off');
      this.#vcpu.powerOff();
    }
  }

  /** Answers a call that does nothing else, without leaving generated code; not where calls are traced. */
  answerAtOnce(): boolean {
    const { core, tracer, recorder, gunyah, psci, exits } = this.#vcpu;
    if (tracer !== undefined || recorder?.isOn === true) return false;
    const handled = gunyah?.handleAtOnce(core.get32(STATE.exitInfo)) ?? 'arch';
    if (handled !== 'arch') {
      if (handled === 'done') exits[EXIT.hvc]!++;
      return handled === 'done';
    }
    const answer = answerOnly(psci, core.get32(0) >>> 0, this.#argument);
    if (answer === undefined) return false;
    core.state.setHalves(0, answer | 0, Math.floor(answer / 2 ** 32));
    exits[EXIT.hvc]!++;
    return true;
  }
}
