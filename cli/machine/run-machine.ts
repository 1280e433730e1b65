/** Runs a machine on a pair of byte pipes until it ends: the part of `wurley run` that knows no terminal. */
import type { ActorSystem } from '../../actors/runtime/system.js';
import type { ByteStream } from '../../actors/shared-state/byte-stream/byte-stream.js';
import { err, ok, type Result } from '../../bus/result.js';
import { keepAlive } from '../host/keep-alive.js';
import { type Machine, type MachineEnd, type MachineOptions, type StartFault, startMachine } from './machine.js';

/** Where console bytes go and come from. */
export interface ConsolePipe {
  /** Takes bytes the guest printed; resolves when more may come. */
  write(bytes: Uint8Array): Promise<void>;
  /** Whether what a PL011 that is not the console prints is shown until the console prints something. */
  readonly showsSerial: boolean;
  /** Calls `take` with what is typed; answers a function that stops that. `take` answers false when it wants a pause. */
  onInput(take: (bytes: Uint8Array) => void): () => void;
}

/** Bytes kept of a PL011 that is not shown; printed when the console never printed anything. */
const SERIAL_BYTES_MAX = 1 << 20;
const INPUT_RETRY_MS = 5;
/** Bytes waiting for a guest that does not read its console; beyond it the oldest input is kept and the rest refused. */
const INPUT_BYTES_MAX = 1 << 20;

/** Runs to the end. `onStart` gets the machine as soon as it runs. */
export async function runMachine(
  system: ActorSystem,
  options: MachineOptions,
  pipe: ConsolePipe,
  onStart: (machine: Machine) => void,
): Promise<Result<MachineEnd, StartFault>> {
  const started = await startMachine(system, options);
  if (!started.ok) return err(started.error);
  onStart(started.value);
  return ok(await followMachine(started.value, pipe));
}

/** Connects a running machine's consoles with a pipe until it has ended and everything it printed was handed on. */
export async function followMachine(machine: Machine, pipe: ConsolePipe): Promise<MachineEnd> {
  const closeInput = feed(machine, pipe);
  let over = false;
  let spoke = false;
  const serial: Uint8Array[] = [];
  let serialBytes = 0;
  const read = async (stream: ByteStream, take: (bytes: Uint8Array) => Promise<void>): Promise<void> => {
    const alive = keepAlive();
    for (;;) {
      await stream.data.parkAsync(() => stream.length > 0 || over || stream.closed, alive);
      const bytes = stream.read();
      if (bytes.length > 0) {
        await take(bytes);
        machine.resume();
      } else if (over || stream.closed) return;
    }
  };
  const reading = read(machine.output, (bytes) => {
    spoke = true;
    return pipe.write(bytes);
  });
  const readingSerial =
    machine.serial &&
    read(machine.serial, async (bytes) => {
      if (spoke) return;
      if (pipe.showsSerial) return pipe.write(bytes);
      if ((serialBytes += bytes.length) <= SERIAL_BYTES_MAX) serial.push(bytes);
    });
  const end = await machine.ended;
  closeInput();
  await machine.flush();
  over = true;
  machine.output.announce();
  machine.serial?.announce();
  await reading;
  await readingSerial;
  if (!spoke) for (const bytes of serial) await pipe.write(bytes);
  return end;
}

/** Hands what is typed to the machine, keeping what its input stream has no room for. */
function feed(machine: Machine, pipe: ConsolePipe): () => void {
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let timer: NodeJS.Timeout | undefined;
  const push = (): void => {
    timer = undefined;
    while (waiting.length > 0) {
      const [first = new Uint8Array(0)] = waiting;
      const taken = machine.type(first);
      waitingBytes -= taken;
      if (taken < first.length) {
        waiting[0] = first.subarray(taken);
        timer = setTimeout(push, INPUT_RETRY_MS);
        return;
      }
      waiting.shift();
    }
  };
  const stop = pipe.onInput((bytes) => {
    if (waitingBytes + bytes.length > INPUT_BYTES_MAX) return;
    waiting.push(bytes);
    waitingBytes += bytes.length;
    if (timer === undefined) push();
  });
  return () => {
    stop();
    clearTimeout(timer);
    waiting = [];
  };
}
