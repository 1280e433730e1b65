/**
 * The control server of a lab: HTTP and JSON on a unix socket that its user alone may open (docs/control.md). Whatever a client
 * sends is checked and answered with an HTTP status; a client that hangs or does not read loses its connection and nothing else.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { map, type Observable } from 'rxjs';
import { err, ok, type Result } from '../../bus/result.js';
import { findRoute, openApi, type Route } from './control-api.js';
import { traceQuery, traceText } from './control-trace.js';
import { labView, vmView } from './control-views.js';
import { type HttpFault, push, readBody, readNumbers, sendFault, sendJson } from './http-body.js';
import type { LabWatch } from './lab-statistics.js';
import { PROMETHEUS_TYPE, prometheusText } from './prometheus.js';
import type { Member, Refusal, RunningLab } from './running-lab.js';

/** What paths are relative to. */
const BASE = 'http://localhost';
const CONNECTIONS_MAX = 256;
const HEADERS_TIMEOUT_MS = 10_000;
const GRACE_SECONDS = 10;
const STATS_SECONDS_MAX = 3600;
const LINES_MAX = 1_000_000;
const INPUT_RETRY_MS = 20;
const CONSOLE_BEHIND_BYTES_MAX = 8 << 20;
/** What a console's connection is upgraded to. */
const CONSOLE_PROTOCOL = 'wurley-console';

/** What the server shows. */
export interface ControlOptions {
  readonly running: RunningLab;
  readonly watch: LabWatch;
  /** Path of the lab's file, for people. */
  readonly file: string;
  readonly nowMs: () => number;
  /** Somebody asked for the end of the lab: ends it, resolves when nothing runs any more. */
  readonly down: (graceMs: number) => Promise<void>;
}

/** A server that listens. */
export interface ControlServer {
  /** Closes it and every connection. */
  close(): Promise<void>;
}

const STATUS: Readonly<Record<Refusal, readonly [number, string]>> = {
  unknown: [404, 'there is no such VM'],
  notRunning: [409, 'the VM does not run'],
  running: [409, 'the VM is starting or the lab is ending'],
  guestMade: [409, 'a guest made the VM; only that guest can start it again'],
  refused: [500, 'the VM could not be started'],
};
const faultOf = (refusal: Refusal): HttpFault => ({ status: STATUS[refusal][0], error: STATUS[refusal][1] });

/** Listens at `path`. The error is a sentence. */
export async function startControlServer(
  path: string,
  options: ControlOptions,
): Promise<Result<ControlServer, string>> {
  const control = new Control(options);
  const server = newServer((request, response) => void control.serve(request, response));
  server.on('upgrade', (request, socket, head) => control.upgrade(request, socket, head));
  const listening = await listen(server, () => server.listen(path));
  if (!listening.ok) return err(`${path} cannot be listened at (${listening.error})`);
  chmodSync(path, 0o600);
  return ok({
    async close() {
      await closeServer(server, control.consoles);
      rmSync(path, { force: true });
    },
  });
}

/** Serves `/metrics` alone on 127.0.0.1; port 0 takes a free one. */
export async function startMetricsServer(
  port: number,
  options: ControlOptions,
): Promise<Result<ControlServer & { readonly port: number }, string>> {
  const control = new Control(options);
  const server = newServer((request, response) => {
    if (request.url !== '/metrics') sendFault(response, { status: 404, error: 'only /metrics is here' });
    else void control.serve(request, response);
  });
  const listening = await listen(server, () => server.listen(port, '127.0.0.1'));
  if (!listening.ok) return err(`port ${port} of 127.0.0.1 cannot be listened at (${listening.error})`);
  // WHY: a server that listens at a port has an address with one.
  const address = server.address() as AddressInfo;
  return ok({ port: address.port, close: () => closeServer(server, new Set()) });
}

function newServer(serve: (request: IncomingMessage, response: ServerResponse) => void): Server {
  const server = createServer({ headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: 3 * HEADERS_TIMEOUT_MS }, serve);
  server.maxConnections = CONNECTIONS_MAX;
  server.on('clientError', (_problem, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    else socket.destroy();
  });
  return server;
}

async function listen(server: Server, begin: () => void): Promise<Result<undefined, string>> {
  return new Promise((resolve) => {
    server.once('error', (problem) => resolve(err(problem.message)));
    server.once('listening', () => resolve(ok()));
    begin();
  });
}

async function closeServer(server: Server, sockets: ReadonlySet<Duplex>): Promise<void> {
  for (const socket of sockets) socket.destroy();
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // Answers that are on their way get a moment; streams have none to finish.
  setTimeout(() => server.closeAllConnections(), 100).unref();
  await closed;
}

/** The operations. */
class Control {
  readonly #options: ControlOptions;
  readonly consoles = new Set<Duplex>();

  constructor(options: ControlOptions) {
    this.#options = options;
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => response.destroy());
    const fault = await this.#answer(request, response);
    if (fault !== undefined && !response.headersSent) sendFault(response, fault);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<HttpFault | undefined> {
    const found = this.#route(request);
    if (!found.ok) {
      if (found.error.allow !== undefined) response.setHeader('Allow', found.error.allow);
      return found.error;
    }
    const { route, query } = found.value;
    const { operation } = route;
    for (const name of query.keys()) {
      if (!Object.hasOwn(operation.query, name)) return { status: 400, error: `the parameter ${name} is not known` };
    }
    const body = await readBody(request);
    if (!body.ok) return body.error;
    const numbers = operation.id === 'input' ? ok({}) : readNumbers(body.value, operation.body);
    if (!numbers.ok) return numbers.error;
    return this.#operate(route, query, numbers.value, body.value, response);
  }

  #route(
    request: IncomingMessage,
  ): Result<{ route: Route; query: URLSearchParams }, HttpFault & { readonly allow?: string }> {
    const text = request.url ?? '/';
    if (!URL.canParse(text, BASE)) return err({ status: 400, error: 'the path is not one' });
    const url = new URL(text, BASE);
    const route = findRoute(request.method ?? '', url.pathname);
    if (route === undefined) return err({ status: 404, error: `there is nothing at ${url.pathname}` });
    if ('allow' in route)
      return err({ status: 405, error: `${url.pathname} takes ${route.allow}`, allow: route.allow });
    return ok({ route, query: url.searchParams });
  }

  async #operate(
    { operation, vm }: Route,
    query: URLSearchParams,
    numbers: Readonly<Record<string, number>>,
    body: Buffer,
    response: ServerResponse,
  ): Promise<HttpFault | undefined> {
    const { running, file, nowMs, down } = this.#options;
    const graceMs = (numbers['graceSeconds'] ?? GRACE_SECONDS) * 1000;
    const done = (member: Member): void => sendJson(response, 200, vmView(member, nowMs()));
    switch (operation.id) {
      case 'inspect':
        sendJson(response, 200, await labView(running, file, nowMs()));
        return undefined;
      case 'list':
        sendJson(
          response,
          200,
          [...running.members.values()].map((member) => vmView(member, nowMs())),
        );
        return undefined;
      case 'schema':
        sendJson(response, 200, openApi());
        return undefined;
      case 'stop':
      case 'kill': {
        const ended = await (operation.id === 'stop' ? running.stop(vm, graceMs) : running.kill(vm));
        if (!ended.ok) return faultOf(ended.error);
        done(ended.value);
        return undefined;
      }
      case 'restart': {
        const again = await running.restart(vm, graceMs);
        if (again.ok) done(again.value);
        else
          return typeof again.error === 'string' ? faultOf(again.error) : { status: 500, error: again.error.sentence };
        return undefined;
      }
      case 'down':
        await down(graceMs);
        sendJson(response, 200, { ended: true });
        return undefined;
      case 'trace':
        return this.#trace(query, response);
      case 'stats':
        return this.#stats(query, response);
      case 'metrics':
        await this.#metrics(response);
        return undefined;
      case 'console':
        response.setHeader('Upgrade', CONSOLE_PROTOCOL);
        return { status: 426, error: `the console needs Upgrade: ${CONSOLE_PROTOCOL}` };
      default:
    }
    const member = running.members.get(vm);
    if (member === undefined) return faultOf('unknown');
    switch (operation.id) {
      case 'log':
        return this.#log(member, query, response);
      case 'input':
        if (member.state !== 'running') return faultOf('notRunning');
        if (!member.keyboard.type(body)) return { status: 503, error: 'the VM does not read what was typed before' };
        sendJson(response, 200, { typed: body.length });
        return undefined;
      default:
        member.vm?.resize(numbers['columns'] ?? 80, numbers['rows'] ?? 24);
        done(member);
        return undefined;
    }
  }

  /** An endless answer: pieces until the source completes or the client goes. */
  #stream(response: ServerResponse, type: string, source: Observable<string | Uint8Array>): void {
    response.writeHead(200, { 'Content-Type': type, 'Cache-Control': 'no-store' });
    response.flushHeaders();
    const subscription = source.subscribe({
      next: (piece) => push(response, piece),
      error: () => response.destroy(),
      complete: () => response.end(),
    });
    response.on('close', () => subscription.unsubscribe());
  }

  #log({ log }: Member, query: URLSearchParams, response: ServerResponse): HttpFault | undefined {
    const tail = linesOf(query.get('tail'));
    if (!tail.ok) return tail.error;
    const type = 'application/octet-stream';
    if (query.get('follow') === '1') this.#stream(response, type, log.follow(tail.value));
    else {
      response.writeHead(200, { 'Content-Type': type });
      response.end(log.history(tail.value));
    }
    return undefined;
  }

  #trace(query: URLSearchParams, response: ServerResponse): HttpFault | undefined {
    const { running } = this.#options;
    const asked = traceQuery(query, (name) => running.members.has(name));
    if (!asked.ok) return asked.error;
    const type = asked.value.format === 'perfetto' ? 'application/json' : 'text/plain; charset=utf-8';
    this.#stream(response, type, traceText(running.host, asked.value));
    return undefined;
  }

  async #stats(query: URLSearchParams, response: ServerResponse): Promise<HttpFault | undefined> {
    const seconds = Number(query.get('seconds') ?? 1);
    if (!(seconds >= 0.05 && seconds <= STATS_SECONDS_MAX)) {
      return { status: 400, error: `seconds takes a number from 0.05 to ${STATS_SECONDS_MAX}` };
    }
    const { watch } = this.#options;
    if (query.get('follow') !== '1') {
      sendJson(response, 200, await watch.once(seconds * 1000));
      return undefined;
    }
    const looks = watch.every(seconds * 1000).pipe(map((look) => `${JSON.stringify(look)}\n`));
    this.#stream(response, 'application/x-ndjson', looks);
    return undefined;
  }

  async #metrics(response: ServerResponse): Promise<void> {
    const { watch, running } = this.#options;
    watch.scrape();
    const text = prometheusText(running.lab.name, await watch.now(), (object) => watch.latency.of(object));
    response.writeHead(200, { 'Content-Type': PROMETHEUS_TYPE });
    response.end(text);
  }

  /** A connection that becomes a console. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const fault = this.#upgrade(request, socket, head);
    if (fault === undefined) return;
    const text = `${JSON.stringify({ error: fault.error })}\n`;
    const type = 'Content-Type: application/json\r\nConnection: close';
    const status = `HTTP/1.1 ${fault.status} ${STATUS_CODES[fault.status] ?? 'Refused'}`;
    socket.end(`${status}\r\n${type}\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): HttpFault | undefined {
    const found = this.#route(request);
    if (!found.ok) return found.error;
    const { route, query } = found.value;
    const member = this.#options.running.members.get(route.vm);
    if (route.operation.id !== 'console' || request.headers.upgrade?.toLowerCase() !== CONSOLE_PROTOCOL) {
      return { status: 400, error: `only a console is upgraded and only to ${CONSOLE_PROTOCOL}` };
    }
    if (member === undefined) return faultOf('unknown');
    const tail = linesOf(query.get('tail') ?? '0');
    if (!tail.ok) return tail.error;
    const writes = query.get('write') === '1';
    const release = writes ? member.keyboard.seize() : (): void => undefined;
    if (release === undefined) return { status: 409, error: 'somebody else types on this console' };
    this.#attach(member, socket, head, writes, tail.value, release);
    return undefined;
  }

  #attach(
    member: Member,
    socket: Duplex,
    head: Buffer,
    writes: boolean,
    tail: number | undefined,
    release: () => void,
  ): void {
    this.consoles.add(socket);
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${CONSOLE_PROTOCOL}\r\n\r\n`);
    const subscription = member.log.follow(tail).subscribe({
      next(chunk) {
        socket.write(chunk);
        if (socket.writableLength > CONSOLE_BEHIND_BYTES_MAX) socket.destroy();
      },
      complete: () => socket.end(),
    });
    const type = (bytes: Buffer): void => {
      if (!writes || bytes.length === 0 || member.keyboard.type(bytes)) return;
      socket.pause();
      setTimeout(() => {
        if (socket.destroyed) return;
        socket.resume();
        type(bytes);
      }, INPUT_RETRY_MS);
    };
    type(head);
    socket.on('data', type);
    socket.on('end', () => socket.end());
    socket.on('close', () => {
      this.consoles.delete(socket);
      subscription.unsubscribe();
      release();
    });
  }
}

function linesOf(text: string | null): Result<number | undefined, HttpFault> {
  if (text === null) return ok(undefined);
  const lines = Number(text);
  const isGood = text !== '' && Number.isInteger(lines) && lines >= 0 && lines <= LINES_MAX;
  return isGood ? ok(lines) : err({ status: 400, error: `tail takes a whole number from 0 to ${LINES_MAX}` });
}
