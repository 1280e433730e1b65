/**
 * The messages of the system actor (slot 0, in the main thread): how hosts report to the supervisor, and what actors ask
 * of it. There is no other way to the supervisor.
 */
import type { ActorKind, Permissions, SpawnFailure } from './actor.js';
import type { Ask, Tell } from './protocol.js';
import type { LogFields } from './services.js';

/** What an actor's host reports about it. */
export type ActorReport =
  | { readonly report: 'started' }
  | { readonly report: 'startRefused'; readonly error: unknown }
  | { readonly report: 'threw'; readonly detail: string }
  | { readonly report: 'stopped' }
  | { readonly report: 'wantsStop' };

/** A kind as it travels: the module is imported again where the supervisor is. */
export interface Placement {
  readonly module: string;
  readonly heapMegabytesMax?: number;
  readonly workersMax?: number;
  readonly warm?: number;
  readonly permissions?: Permissions;
}

/** One log line. */
export interface LogLine {
  readonly atMs: number;
  readonly level: 'info' | 'warn';
  readonly name: string;
  readonly text: string;
  readonly fields: LogFields;
}

/** See the file comment. Actors are named by their numbers here. */
export type SystemProtocol = {
  report: Tell<{ readonly actor: number; readonly incarnation: number; readonly report: ActorReport }>;
  log: Tell<LogLine>;
  monitor: Tell<{ readonly watcher: number; readonly actor: number }>;
  link: Tell<{ readonly one: number; readonly other: number }>;
  lookup: Ask<{ readonly name: string }, { readonly actor: number }, 'unknownName'>;
  spawn: Ask<
    { readonly parent: number; readonly kind: Placement; readonly config: unknown; readonly name: string },
    { readonly actor: number },
    SpawnFailure
  >;
};

/** The part of a kind that travels. */
export function placementOf(kind: ActorKind): Placement {
  const { declaration: _, module, ...rest } = kind;
  return { module: module.href, ...rest };
}
