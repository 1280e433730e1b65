/**
 * The control interface of a lab as a table: method, path, parameters, what it answers. The server dispatches by it, the
 * OpenAPI description (`GET /v1/schema`) is made from it, and docs/control.md tells it with examples.
 */

/** One operation. */
export interface Operation {
  readonly id: OperationId;
  readonly method: 'GET' | 'POST';
  /** `{vm}` stands for a name. */
  readonly path: string;
  readonly about: string;
  /** Query parameters with what they take. */
  readonly query: Readonly<Record<string, string>>;
  /** Fields of the JSON body, all optional. */
  readonly body: Readonly<Record<string, 'number' | 'integer'>>;
  readonly answers: string;
}

/** Names of the operations. */
export type OperationId =
  | 'inspect'
  | 'list'
  | 'stop'
  | 'kill'
  | 'restart'
  | 'log'
  | 'input'
  | 'console'
  | 'size'
  | 'down'
  | 'trace'
  | 'stats'
  | 'metrics'
  | 'schema';

const none = {} as const;
const grace = { graceSeconds: 'number' } as const;

/** The table. */
export const OPERATIONS: readonly Operation[] = [
  {
    ...{ id: 'inspect', method: 'GET', path: '/v1/lab', query: none, body: none, answers: 'application/json' },
    about: 'the lab: its file, VMs with their descriptions and the threads of their vCPUs, links, queues',
  },
  {
    ...{ id: 'list', method: 'GET', path: '/v1/vms', query: none, body: none, answers: 'application/json' },
    about: 'every VM: name, VMID, state, how it ended, restarts',
  },
  {
    ...{ id: 'stop', method: 'POST', path: '/v1/vms/{vm}/stop', query: none, body: grace, answers: 'application/json' },
    about: 'presses the power button, and after graceSeconds (10) ends the VM; answers when it has ended',
  },
  {
    ...{ id: 'kill', method: 'POST', path: '/v1/vms/{vm}/kill', query: none, body: none, answers: 'application/json' },
    about: 'ends the VM at once',
  },
  {
    ...{ id: 'restart', method: 'POST', path: '/v1/vms/{vm}/restart', body: grace, answers: 'application/json' },
    query: none,
    about: 'stops the VM if it runs, and starts it',
  },
  {
    ...{ id: 'log', method: 'GET', path: '/v1/vms/{vm}/log', body: none, answers: 'application/octet-stream' },
    query: { follow: '1: go on with what comes', tail: 'only the last so many lines of the history' },
    about: 'what the VM printed, the last mebibyte of it',
  },
  {
    ...{
      id: 'input',
      method: 'POST',
      path: '/v1/vms/{vm}/input',
      query: none,
      body: none,
      answers: 'application/json',
    },
    about: 'types the body, whatever bytes it has, on the console',
  },
  {
    ...{ id: 'console', method: 'GET', path: '/v1/vms/{vm}/console', body: none, answers: 'upgrade' },
    query: { write: '1: be the one who types', tail: 'begin with so many lines of the history' },
    about: 'with Upgrade: wurley-console, becomes the console itself: bytes in both directions',
  },
  {
    ...{ id: 'size', method: 'POST', path: '/v1/vms/{vm}/size', query: none, answers: 'application/json' },
    body: { columns: 'integer', rows: 'integer' },
    about: "tells the VM its console's size",
  },
  {
    ...{ id: 'down', method: 'POST', path: '/v1/down', query: none, body: grace, answers: 'application/json' },
    about: 'ends the lab; answers when all VMs have ended',
  },
  {
    ...{ id: 'trace', method: 'GET', path: '/v1/trace', body: none, answers: 'text/plain or application/json' },
    query: {
      vm: 'only calls of this VM',
      only: 'some of msgq, bell, rm, hvc with commas between',
      format: 'text, json (a line for each call) or perfetto',
      seconds: 'ends after so long; absent: when the client goes',
    },
    about: 'every hypercall from now on, decoded',
  },
  {
    ...{ id: 'stats', method: 'GET', path: '/v1/stats', body: none, answers: 'application/json' },
    query: { seconds: 'time between two looks (1)', follow: '1: a line for each look, until the client goes' },
    about: 'rates, queue depths, latencies, instructions, exits',
  },
  {
    ...{ id: 'metrics', method: 'GET', path: '/metrics', query: none, body: none, answers: 'text/plain' },
    about: 'the same for Prometheus',
  },
  {
    ...{ id: 'schema', method: 'GET', path: '/v1/schema', query: none, body: none, answers: 'application/json' },
    about: 'this interface as an OpenAPI description',
  },
];

/** An operation and the VM it is for. */
export interface Route {
  readonly operation: Operation;
  readonly vm: string;
}

/** Finds what `method` `path` means: a route, the methods the path has, or nothing. */
export function findRoute(method: string, path: string): Route | { readonly allow: string } | undefined {
  const named = /^\/v1\/vms\/([^/]+)\/([^/]+)$/.exec(path);
  const pattern = named === null ? path : `/v1/vms/{vm}/${named[2]}`;
  const there = OPERATIONS.filter((operation) => operation.path === pattern);
  const operation = there.find((candidate) => candidate.method === method);
  if (operation !== undefined) return { operation, vm: decodeName(named?.[1] ?? '') };
  return there.length === 0 ? undefined : { allow: there.map((candidate) => candidate.method).join(', ') };
}

/** A name as it stands in a path; what is not decodable is no VM's name. */
function decodeName(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

/** The OpenAPI 3.1 description. */
export function openApi(): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const { id, method, path, about, query, body, answers } of OPERATIONS) {
    const vm = { name: 'vm', in: 'path', required: true, schema: { type: 'string' } };
    const parameters = [
      ...(path.includes('{vm}') ? [vm] : []),
      ...Object.entries(query).map(([name, description]) => ({
        ...{ name, in: 'query', description, schema: { type: 'string' } },
      })),
    ];
    const properties = Object.fromEntries(Object.entries(body).map(([name, type]) => [name, { type }]));
    const schema = { type: 'object', properties, additionalProperties: false };
    const isJson = Object.keys(body).length > 0;
    const requestBody = { required: false, content: { 'application/json': { schema } } };
    (paths[path] ??= {})[method.toLowerCase()] = {
      ...{ operationId: id, summary: about, parameters },
      ...(isJson ? { requestBody } : {}),
      responses: {
        [answers === 'upgrade' ? '101' : '200']: { description: answers },
        default: { description: 'an object with the field error, a sentence' },
      },
    };
  }
  return { openapi: '3.1.0', info: { title: 'Wurley lab', version: '1' }, paths };
}
