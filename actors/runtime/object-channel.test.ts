import { Worker } from 'node:worker_threads';
import * as assert from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { createObjectChannel, type ObjectEnd, ObjectPort, portsOf } from './object-channel.js';

const test = spec('object channels');
/** (module (func (export "f") (result i32) i32.const 42)). */
const MODULE = [
  [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  [1, 5, 1, 0x60, 0, 1, 0x7f],
  [3, 2, 1, 0],
  [7, 5, 1, 1, 0x66, 0, 0],
  [10, 6, 1, 4, 0, 0x41, 42, 0x0b],
].flat();

function close(...ends: readonly ObjectEnd[]): void {
  for (const { port } of ends) port.close();
}

test('objects come one by one, in order, without waiting', () => {
  const [left, right] = createObjectChannel();
  const a = new ObjectPort<{ readonly n: number }, string>(left);
  const b = new ObjectPort<string, { readonly n: number }>(right);
  assert.is(b.take(), undefined);
  for (let n = 0; n < 100; n++) a.send({ n });
  for (let n = 0; n < 100; n++) assert.equal(b.take(), { n });
  assert.is(b.take(), undefined);
  b.send('back');
  assert.is(a.take(), 'back');
  close(left, right);
});

test('a listener gets what comes from the event loop', async () => {
  const [left, right] = createObjectChannel();
  const got: number[] = [];
  const all = new Promise<void>((resolve) => {
    new ObjectPort<number, number>(right).listen((n) => {
      if (got.push(n) === 3) resolve();
    });
  });
  const a = new ObjectPort<number, number>(left);
  for (const n of [1, 2, 3]) a.send(n);
  await all;
  assert.equal(got, [1, 2, 3]);
  close(left, right);
});

test('the ports of a config are found, alone or in an array', () => {
  const [left, right] = createObjectChannel();
  const [more, last] = createObjectChannel();
  assert.equal(portsOf({ one: left, many: [right, more], n: 1, none: undefined, text: 'x', nothing: null }), [
    left.port,
    right.port,
    more.port,
  ]);
  for (const config of [undefined, null, 3, 'x', {}]) assert.equal(portsOf(config), []);
  close(left, right, more, last);
});

test('a compiled module goes to another thread', async () => {
  const [left, right] = createObjectChannel();
  const text = `
    const { workerData, parentPort } = require('node:worker_threads');
    workerData.port.once('message', (module) => {
      parentPort.postMessage(new WebAssembly.Instance(module).exports.f());
      workerData.port.close();
    });`;
  const worker = new Worker(text, { eval: true, workerData: right, transferList: [right.port] });
  const answer = new Promise<number>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  new ObjectPort<WebAssembly.Module, never>(left).send(new WebAssembly.Module(new Uint8Array(MODULE)));
  assert.is(await answer, 42);
  await worker.terminate();
  close(left);
});

test.run();
