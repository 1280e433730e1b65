/**
 * Entry points that wait to be compiled. Those that the interpreter comes to most often go first; and there is a bound, since a guest that runs
 * new code all the time makes more of them than are ever compiled: when it is reached, the colder half is forgotten. What is forgotten
 * and hot after all will be reported again.
 *
 * The queue is looked through for every batch and every page whose code changes, so it makes no garbage.
 */
import type { CodePage } from '../code-pages.js';

/** Requests that wait, at most: what a background compiler takes ten seconds for. */
export const REQUESTS_MAX = 4096;

/** An entry point waiting to be compiled. */
export interface Request {
  readonly page: CodePage;
  readonly offset: number;
  /** The page's code changed while the request was in flight. */
  stale: boolean;
}

/** What the queue asks of its owner. */
export interface RequestOwner {
  /** How often the interpreter came to it since it was asked for, or since {@link forgetArrivals}. Below 65,536. */
  arrivals(request: Request): number;
  /** Has arrivals at it counted from 0. */
  forgetArrivals(request: Request): void;
  /** Whether it is still to be compiled. */
  isNeeded(request: Request): boolean;
  /** It is not in the queue any more, and was not taken. */
  onForgotten(request: Request): void;
}

/** See the head of this file. */
export class RequestQueue {
  readonly #owner: RequestOwner;
  readonly #waiting: Request[] = [];
  readonly #heat = new Uint16Array(REQUESTS_MAX);

  constructor(owner: RequestOwner) {
    this.#owner = owner;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /** Adds a request; where there is no room, forgets others first. */
  add(request: Request): void {
    if (this.#waiting.length >= REQUESTS_MAX) this.#forgetColder();
    this.#waiting.push(request);
  }

  /** Forgets the half to which the interpreter came least often; among equals those that have waited longest. */
  #forgetColder(): void {
    const waiting = this.#waiting;
    const keep = waiting.length >> 1;
    for (let n = 0; n < waiting.length; n++) this.#heat[n] = this.#owner.arrivals(waiting[n]!);
    const heat = this.#heat.subarray(0, waiting.length).sort();
    const least = heat[waiting.length - keep]!;
    let equals = keep;
    for (let n = heat.length - 1; n >= 0 && heat[n]! > least; n--) equals--;
    // From the newest to the oldest, to the end of the list.
    let to = waiting.length;
    for (let n = waiting.length - 1; n >= 0; n--) {
      const request = waiting[n]!;
      const arrivals = this.#owner.arrivals(request);
      if (arrivals > least || (arrivals === least && equals-- > 0)) waiting[--to] = request;
      else this.#owner.onForgotten(request);
    }
    waiting.copyWithin(0, to);
    waiting.length -= to;
    // What was run once and never again is the colder half next time.
    for (const request of waiting) this.#owner.forgetArrivals(request);
  }

  /** Takes up to `count` requests that are needed, and forgets those it finds not to be. */
  take(count: number): readonly Request[] {
    const waiting = this.#waiting;
    if (waiting.length <= count) return waiting.splice(0).filter((request) => this.#owner.isNeeded(request));
    const taken: Request[] = [];
    const heat: number[] = [];
    let kept = 0;
    for (let n = 0; n < waiting.length; n++) {
      const request = waiting[n]!;
      const arrivals = this.#owner.arrivals(request);
      if (taken.length === count && arrivals <= heat[count - 1]!) {
        waiting[kept++] = request;
        continue;
      }
      if (!this.#owner.isNeeded(request)) continue;
      if (taken.length === count) {
        heat.pop();
        waiting[kept++] = taken.pop()!;
      }
      let at = taken.length;
      for (; at > 0 && heat[at - 1]! < arrivals; at--) {
        heat[at] = heat[at - 1]!;
        taken[at] = taken[at - 1]!;
      }
      heat[at] = arrivals;
      taken[at] = request;
    }
    waiting.length = kept;
    return taken;
  }

  /** Forgets what is asked for of `page`. The owner is not told. */
  drop(page: CodePage): void {
    let kept = 0;
    for (const request of this.#waiting) if (request.page !== page) this.#waiting[kept++] = request;
    this.#waiting.length = kept;
  }
}
