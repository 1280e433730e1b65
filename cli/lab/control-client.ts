/** The client's side of the control interface: requests over a lab's socket, endless answers, and consoles. */
import { type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { err, ok, type Result } from '../../bus/result.js';
import { runningLabs, socketFolder, socketPath } from './socket-path.js';

/** Why a request failed: a sentence, and the HTTP status where there was an answer. */
export interface ClientFault {
  readonly text: string;
  readonly status: number | undefined;
}

const fault = (text: string, status?: number): Result<never, ClientFault> => err({ text, status });

/** A lab's control interface. */
export class ControlClient {
  readonly #path: string;
  readonly name: string;

  constructor(name: string, path: string) {
    this.name = name;
    this.#path = path;
  }

  /** The lab called `name`, or the only one that runs. */
  static async find(name: string | undefined, env: NodeJS.ProcessEnv): Promise<Result<ControlClient, string>> {
    const folder = socketFolder(env);
    const labs = await runningLabs(folder);
    const found = name ?? (labs.length === 1 ? labs[0] : undefined);
    if (found !== undefined && labs.includes(found)) return ok(new ControlClient(found, socketPath(folder, found)));
    if (name !== undefined) return err(`no lab called ${name} is running`);
    return err(
      labs.length === 0 ? 'no lab is running' : `several labs are running: say --lab ${labs.join(' or --lab ')}`,
    );
  }

  async #send(method: string, path: string, body: object | undefined): Promise<Result<IncomingMessage, ClientFault>> {
    return new Promise((resolve) => {
      const sent = request({ socketPath: this.#path, method, path }, (response) => resolve(ok(response)));
      sent.on('error', (problem) => resolve(fault(`the lab ${this.name} does not answer (${problem.message})`)));
      if (body !== undefined) {
        sent.setHeader('Content-Type', 'application/json');
        sent.write(JSON.stringify(body));
      }
      sent.end();
    });
  }

  async #failed(response: IncomingMessage): Promise<Result<never, ClientFault>> {
    const text = await textOf(response);
    const { statusCode } = response;
    try {
      const { error } = JSON.parse(text) as { readonly error?: unknown };
      return fault(String(error), statusCode);
    } catch {
      // WHY: an answer of ours is JSON; what else answers there we can only name by its status.
      return fault(`the lab ${this.name} answered ${statusCode}`, statusCode);
    }
  }

  /** The answer as a value. `T` is what the operation answers (control-views.ts): server and client are one program. */
  async json<T>(method: 'GET' | 'POST', path: string, body?: object): Promise<Result<T, ClientFault>> {
    const sent = await this.#send(method, path, body);
    if (!sent.ok) return sent;
    if (sent.value.statusCode !== 200) return this.#failed(sent.value);
    const text = await textOf(sent.value);
    try {
      // WHY: see above.
      return ok(JSON.parse(text) as T);
    } catch {
      return fault(`the lab ${this.name} went away in the middle of its answer`);
    }
  }

  /** Hands each piece of an answer to `take` until it ends, or until `stop` does; whether it ended by itself. */
  async stream(
    path: string,
    take: (piece: Buffer) => void,
    stop?: (cut: () => void) => void,
  ): Promise<Result<boolean, ClientFault>> {
    const sent = await this.#send('GET', path, undefined);
    if (!sent.ok) return sent;
    const response = sent.value;
    if (response.statusCode !== 200) return this.#failed(response);
    return new Promise((resolve) => {
      response.on('data', take);
      response.on('end', () => resolve(ok(true)));
      // WHY: the lab ending in the middle of a stream is how most streams end.
      response.on('error', () => resolve(ok(false)));
      stop?.(() => {
        response.destroy();
        resolve(ok(false));
      });
    });
  }

  /** Attaches to a console. */
  async console(vm: string, query: string): Promise<Result<Socket, ClientFault>> {
    return new Promise((resolve) => {
      const headers = { Connection: 'Upgrade', Upgrade: 'wurley-console' };
      const path = `/v1/vms/${encodeURIComponent(vm)}/console?${query}`;
      const sent = request({ socketPath: this.#path, path, headers });
      sent.on('error', (problem) => resolve(fault(`the lab ${this.name} does not answer (${problem.message})`)));
      sent.on('response', (response) => resolve(this.#failed(response)));
      sent.on('upgrade', (_response, socket, head) => {
        if (head.length > 0) socket.unshift(head);
        // WHY: a unix socket's connection is a Socket; the type allows TLS's too.
        resolve(ok(socket as Socket));
      });
      sent.end();
    });
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  response.setEncoding('utf8');
  try {
    for await (const piece of response) text += String(piece);
  } catch {
    // WHY: cut off in the middle; what came is judged by the caller.
  }
  return text;
}
