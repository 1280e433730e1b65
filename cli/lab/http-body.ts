/** Bodies and answers of the control interface: bounded, and one sentence where something is wrong. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { err, ok, type Result } from '../../bus/result.js';

/** An answer that is not the one asked for. */
export interface HttpFault {
  readonly status: number;
  readonly error: string;
}

/** Bytes of a request's body. */
const BODY_BYTES_MAX = 64 * 1024;
/** Bytes a reader may be behind before it is cut off. */
const BEHIND_BYTES_MAX = 8 << 20;

/** The whole body. */
export async function readBody(request: IncomingMessage): Promise<Result<Buffer, HttpFault>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > BODY_BYTES_MAX) return err({ status: 413, error: `a body has ${BODY_BYTES_MAX} bytes at most` });
      chunks.push(chunk);
    }
  } catch {
    // WHY: the client went away in the middle; nobody reads the answer.
    return err({ status: 400, error: 'the body did not arrive' });
  }
  return ok(Buffer.concat(chunks));
}

/** The body as an object with the numbers of `fields`, no others; an empty body is an empty object. */
export function readNumbers(
  body: Buffer,
  fields: Readonly<Record<string, 'number' | 'integer'>>,
): Result<Readonly<Record<string, number>>, HttpFault> {
  const fault = (error: string): Result<never, HttpFault> => err({ status: 400, error });
  if (body.length === 0) return ok({});
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    return fault('the body is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fault('the body takes an object');
  const numbers: Record<string, number> = {};
  for (const [name, given] of Object.entries(value)) {
    const type = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (type === undefined) return fault(`the body has a field ${JSON.stringify(name)}, which is not known`);
    if (typeof given !== 'number' || given < 0 || given > 86_400 || (type === 'integer' && !Number.isInteger(given))) {
      return fault(`${name} takes ${type === 'integer' ? 'a whole number' : 'a number'} from 0 to 86400`);
    }
    numbers[name] = given;
  }
  return ok(numbers);
}

/** Answers with JSON. */
export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const text = `${JSON.stringify(value)}\n`;
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}

/** Answers that it will not. */
export function sendFault(response: ServerResponse, { status, error }: HttpFault): void {
  if (status === 413) response.setHeader('Connection', 'close');
  sendJson(response, status, { error });
}

/** Writes a piece of an endless answer; a reader that is too far behind is cut off. */
export function push(response: ServerResponse, piece: string | Uint8Array): void {
  if (response.destroyed || response.writableEnded) return;
  response.write(piece);
  if (response.writableLength > BEHIND_BYTES_MAX) response.destroy();
}
