/**
 * How the supervisor gets a worker for an actor: through piscina (spawn.ts), or in the simulator's own thread.
 * Whatever a launcher does, the supervisor learns the end of every worker exactly once.
 */
import type { ActorKind } from './actor.js';

/** Everything a worker needs to become a certain actor. */
export interface LaunchOrder {
  readonly kind: ActorKind;
  readonly config: unknown;
  readonly name: string;
  readonly slot: number;
  readonly generation: number;
  readonly incarnation: number;
  /** Seed of the actor's random stream. */
  readonly seed: number;
  /** Called once, when the worker is gone (or could not be had). */
  ended(end: WorkerEnd): void;
}

/** How a worker ended. */
export interface WorkerEnd {
  readonly how: 'threw' | 'exited' | 'outOfMemory' | 'killed' | 'noRoom' | 'noModule';
  /** One sentence: the error's message, the exit code. */
  readonly detail: string;
}

/** A worker that was asked for. */
export interface Launch {
  /** Ends the worker by force, whatever it is doing. */
  kill(): void;
}

/** Gets workers. */
export interface Launcher {
  launch(order: LaunchOrder): Launch;
  /** Announces that a kind will be spawned, so that its warm workers can load. */
  prepare(kind: ActorKind): Promise<void>;
  /** Announces that `count` actors of a kind will be spawned at once: their workers start now. */
  begin(kind: ActorKind, count: number): void;
  /** Ends what is left, warm workers included. */
  close(): Promise<void>;
}

/** Launches with `launch` once `after` resolves; who is killed before has ended without a worker. */
export function launchLater(
  after: Promise<void>,
  launch: (order: LaunchOrder) => Launch,
): (order: LaunchOrder) => Launch {
  return (order) => {
    let launched: Launch | undefined;
    let killed = false;
    void after.then(() => {
      if (!killed) launched = launch(order);
    });
    return {
      kill() {
        if (launched !== undefined) launched.kill();
        else if (!killed)
          queueMicrotask(() => order.ended({ how: 'killed', detail: 'killed before its worker was started' }));
        killed = true;
      },
    };
  };
}
