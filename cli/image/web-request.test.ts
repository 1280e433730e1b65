/** Getting files from the web: which servers are trusted, and where redirections lead. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { getFromWeb } from './web-request.js';

const test = spec('web-request');

/** Of nobody: made for this test, until 2126. */
const KEY = [
  '-----BEGIN PRIVATE KEY-----',
  'MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgI42t5QT2wT1iK/3K',
  'IpPel/vMAu5O0Sa/xPK02lJWJr2hRANCAAS91IRmkVsk2p6mo8vkJPZvILR3eVC+',
  's/Ex5C43+GCQBv3vdVILy+5+pJPv1lO+DGMqlnzbgXUacMoZ7iUWLjfC',
  '-----END PRIVATE KEY-----',
].join('\n');
const CERTIFICATE = [
  '-----BEGIN CERTIFICATE-----',
  'MIIBmzCCAUGgAwIBAgIUWlhjDEB5gBRbk/xAXrWwKJn1ZN8wCgYIKoZIzj0EAwIw',
  'FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEzMDE4NTczNFoYDzIxMjYxMTA2',
  'MTg1NzM0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO',
  'PQMBBwNCAAS91IRmkVsk2p6mo8vkJPZvILR3eVC+s/Ex5C43+GCQBv3vdVILy+5+',
  'pJPv1lO+DGMqlnzbgXUacMoZ7iUWLjfCo28wbTAdBgNVHQ4EFgQUB9jNWDI5DYd4',
  'EuOD1K6PxczKgpMwHwYDVR0jBBgwFoAUB9jNWDI5DYd4EuOD1K6PxczKgpMwDwYD',
  'VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI',
  'zj0EAwIDSAAwRQIhAP1yFG0PjAZjL2ZVUyftkJ08NBW+lPFikSCpBZrgS1yOAiAZ',
  'P43N/ly1qTvIeKglL3ZOkmnV0tQyqHL+b+zsJkzTQg==',
  '-----END CERTIFICATE-----',
].join('\n');

async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // WHY: a server that listens on a port has an address with one.
  return (server.address() as AddressInfo).port;
}

async function textAt(url: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const answer = await getFromWeb(url, { env, signal: AbortSignal.timeout(10_000) });
  let text = '';
  for await (const chunk of answer as AsyncIterable<Buffer>) text += chunk.toString();
  return text;
}

const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));
const refusal = (url: string, env?: NodeJS.ProcessEnv): Promise<string> => textAt(url, env).then(() => '', messageOf);

test('a server is trusted by the certificates that the launcher hands on, and by no others', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'wurley-trust-'));
  const file = join(folder, 'more.pem');
  await writeFile(file, CERTIFICATE);
  const server = createSecureServer({ key: KEY, cert: CERTIFICATE }, (_, answer) => void answer.end('here'));
  const url = `https://127.0.0.1:${await portOf(server)}/`;
  assert.match(await refusal(url), /self-signed/);
  assert.match(await refusal(url, { WURLEY_EXTRA_CA_CERTS: '' }), /self-signed/);
  assert.match(await refusal(url, { WURLEY_EXTRA_CA_CERTS: join(folder, 'absent.pem') }), /self-signed/);
  assert.is(await textAt(url, { WURLEY_EXTRA_CA_CERTS: file }), 'here');
  server.close();
  await rm(folder, { recursive: true });
});

test('redirections are followed, but not for ever and never from HTTPS to HTTP', async () => {
  const turn: RequestListener = ({ url = '' }, answer) => {
    if (url === '/file') return void answer.end('found');
    answer.writeHead(302, { location: url === '/once' ? '/file' : url });
    answer.end();
  };
  const server = createServer(turn);
  const root = `http://127.0.0.1:${await portOf(server)}`;
  assert.is(await textAt(`${root}/once`), 'found');
  assert.match(await refusal(`${root}/round`), /redirected more than 5 times/);
  const folder = await mkdtemp(join(tmpdir(), 'wurley-trust-'));
  const file = join(folder, 'more.pem');
  await writeFile(file, CERTIFICATE);
  const secure = createSecureServer({ key: KEY, cert: CERTIFICATE }, (_, answer) => {
    answer.writeHead(301, { location: `${root}/file` });
    answer.end();
  });
  const url = `https://127.0.0.1:${await portOf(secure)}/`;
  assert.match(await refusal(url, { WURLEY_EXTRA_CA_CERTS: file }), /plain HTTP/);
  for (const one of [server, secure]) one.close();
  await rm(folder, { recursive: true });
});

test.run();
