/**
 * Gets a file over HTTP or HTTPS. Node's `fetch` would do, but takes no certificates: the launcher keeps those of NODE_EXTRA_CA_CERTS from
 * Node.js, which would read them whenever it starts, and hands the file's name on (docs/adr/0312).
 */
import { readFile } from 'node:fs/promises';
import { get as getHttp, type IncomingMessage } from 'node:http';
import { get as getHttps } from 'node:https';
import { rootCertificates } from 'node:tls';

/** Where the launcher puts the value of NODE_EXTRA_CA_CERTS; empty or absent: there is none. */
const EXTRA_CERTIFICATES = 'WURLEY_EXTRA_CA_CERTS';
const REDIRECTS_MAX = 5;

/** What a request may say. */
export interface WebOptions {
  readonly headers?: Record<string, string>;
  readonly signal: AbortSignal;
  /** Environment of the program. */
  readonly env: NodeJS.ProcessEnv;
}

/** The answer to a request for `url`, at the end of its redirections; its body is read by the caller, who may rely on its end. Throws what goes wrong on the way. */
export async function getFromWeb(url: string, options: WebOptions): Promise<IncomingMessage> {
  const trusted = await certificates(options.env);
  let at = new URL(url);
  for (let hop = 0; ; hop++) {
    const answer = await ask(at, options, trusted);
    const { statusCode = 0, headers } = answer;
    if (statusCode < 300 || statusCode >= 400 || headers.location === undefined) return answer;
    answer.destroy();
    if (hop === REDIRECTS_MAX) throw new Error(`is redirected more than ${REDIRECTS_MAX} times`);
    const next = new URL(headers.location, at);
    if (at.protocol === 'https:' && next.protocol !== 'https:') throw new Error('is redirected to plain HTTP');
    at = next;
  }
}

function ask(url: URL, { headers, signal }: WebOptions, ca: readonly string[] | undefined): Promise<IncomingMessage> {
  const options = { headers: headers ?? {}, signal, ...(ca === undefined ? {} : { ca: [...ca] }) };
  return new Promise((resolve, reject) => {
    const request = url.protocol === 'https:' ? getHttps(url, options, resolve) : getHttp(url, options, resolve);
    request.on('error', reject);
  });
}

/** Whom HTTPS trusts; undefined: whom Node.js does. A file that cannot be read adds none, as with Node.js. */
async function certificates(env: NodeJS.ProcessEnv): Promise<readonly string[] | undefined> {
  const file = env[EXTRA_CERTIFICATES] ?? '';
  const more = file === '' ? undefined : await readFile(file, 'latin1').catch(() => undefined);
  return more === undefined ? undefined : [...rootCertificates, more];
}
