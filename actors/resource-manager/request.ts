/** What a request handler gets and answers. */
import type { PayloadReader } from './payload.js';
import type { ResourceManager } from './resource-manager.js';
import type { Vm } from './vm.js';

/** What a request is answered with: an error alone, or success with a payload. */
export interface Reply {
  readonly error: number;
  readonly payload?: Uint8Array;
  /** What is done after the reply was sent. */
  readonly after?: () => Promise<void>;
}

/** A request being carried out. */
export interface Request {
  readonly rm: ResourceManager;
  /** Who asks. */
  readonly client: Vm;
  readonly reader: PayloadReader;
  /** Whether bytes that nobody reads make the request invalid (P6 sends some, see section 5.1). */
  readonly isStrict: boolean;
}

/** Carries out one kind of request. */
export type RequestHandler = (request: Request) => Reply | Promise<Reply>;

/** A reply of the error word alone. */
export const reply = (error: number): Reply => ({ error });
/** The payload was read to its end, and what had to be zero was. */
export const isWhole = ({ reader, isStrict }: Request): boolean => reader.isValid && (!isStrict || reader.rest === 0);
