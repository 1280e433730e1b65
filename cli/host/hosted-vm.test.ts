/** What a VM prints reaches whoever listens, also what it printed before anybody did. */
import * as assert from 'uvu/assert';
import { ByteStream, createByteStream } from '../../actors/shared-state/byte-stream/byte-stream.js';
import { STOP } from '../../actors/shared-state/vm/vm-block.js';
import { spec } from '../../test/harness/spec.js';
import type { Machine, MachineEnd } from '../machine/machine.js';
import { HostedVm } from './hosted-vm.js';

const test = spec('hosted VM');

test('what was printed before anybody listened is heard by the first who does', async () => {
  const output = new ByteStream(createByteStream(1024));
  let ends = (_: MachineEnd): void => undefined;
  const done = async (): Promise<void> => undefined;
  // WHY: a VM asks its machine for nothing else here.
  const machine = {
    ...{ output, serial: undefined, resume: () => undefined, flush: done, dispose: done },
    ended: new Promise<MachineEnd>((resolve) => {
      ends = resolve;
    }),
  } as unknown as Machine;
  output.write(Buffer.from('first '));
  const vm = new HostedVm('vm', 3, machine, done, () => undefined);
  // The bytes have been taken from the machine by then.
  while (output.length > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  await new Promise((resolve) => setTimeout(resolve, 5));
  let text = '';
  let isComplete = false;
  vm.output.subscribe({
    next: (bytes) => (text += Buffer.from(bytes).toString('latin1')),
    complete: () => (isComplete = true),
  });
  assert.is(text, 'first ');
  output.write(Buffer.from('second'));
  output.announce();
  ends({ stop: STOP.off, detail: '' });
  await vm.ended;
  assert.is(text, 'first second');
  assert.ok(isComplete);
});

test.run();
