/** What the message queues of VMs are called and whom they connect: for people who look. */
import type { QueueLine } from './resource-manager.protocol.js';

/** The resource manager itself, as an end. */
export const RM_NAME = 'rm';

/** See the head of this file. */
export class QueueNames {
  readonly #lines = new Map<number, QueueLine>();

  note(object: number, name: string, from: string, to: string): void {
    this.#lines.set(object, { object, name, from, to });
  }
  forget(object: number): void {
    this.#lines.delete(object);
  }
  all(): readonly QueueLine[] {
    return [...this.#lines.values()];
  }
}
