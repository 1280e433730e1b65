/**
 * Type-level tests: what must not compile stands behind `@ts-expect-error`, which the compiler refuses when the line
 * below it compiles after all. Building this file is the test; running it only says that it was built.
 */
import * as assert from 'uvu/assert';
import { ok, type Result } from '../../bus/result.js';
import { spec } from '../../test/harness/spec.js';
import { actor, type Handlers } from './actor.js';
import { moved } from './moved.js';
import type { ActorRef, Ask, MessageOf, Tell } from './protocol.js';
import type { Sender } from './services.js';

type Door = {
  open: Tell<{ readonly width: number }>;
  knock: Ask<{ readonly times: number }, { readonly heard: boolean }, 'nobodyHome'>;
  look: Ask<object, { readonly colour: string }>;
};

const good: Handlers<Door, { open: boolean }> = {
  open(state, { width }) {
    state.open = width > 0;
  },
  knock: (_, { times }) => ok({ heard: times > 1 }),
  look: async () => ok({ colour: 'red' }),
};

// @ts-expect-error a handler is missing
const missing: Handlers<Door, undefined> = { open: () => undefined, knock: () => ok({ heard: true }) };
const misspelt: Handlers<Door, undefined> = {
  ...good,
  // @ts-expect-error there is no such kind
  opne: () => undefined,
};
const wrongReply: Handlers<Door, undefined> = {
  open: () => undefined,
  // @ts-expect-error the reply has another shape
  knock: () => ok({ heard: 'yes' }),
  look: () => ok({ colour: 'red' }),
};
const undeclaredError: Handlers<Door, undefined> = {
  open: () => undefined,
  // @ts-expect-error the error is not one of those declared
  knock: () => ({ ok: false as const, error: 'broken' as const }),
  look: () => ok({ colour: 'red' }),
};
const noAnswer: Handlers<Door, undefined> = {
  open: () => undefined,
  knock: () => ok({ heard: true }),
  // @ts-expect-error an Ask is answered
  look: () => undefined,
};

function senders(sender: Sender, door: ActorRef<Door>, wall: ActorRef<{ lean: Tell<object> }>): void {
  sender.tell(door, 'open', { width: 1 });
  // @ts-expect-error no such kind
  sender.tell(door, 'shut', {});
  // @ts-expect-error the body has another shape
  sender.tell(door, 'open', { width: 'wide' });
  // @ts-expect-error the body lacks a field
  sender.tell(door, 'open', {});
  // @ts-expect-error a tell has no answer to wait for
  void sender.ask(door, 'open', { width: 1 });
  // @ts-expect-error the reference is to another protocol
  sender.tell(wall, 'open', { width: 1 });
  // @ts-expect-error only buffers and references can be moved
  moved({ width: 1 });
  void sender.ask(door, 'knock', { times: 2 }).then((answer) => {
    if (answer.ok) {
      const heard: boolean = answer.value.heard;
      return heard;
    }
    if (answer.error === 'nobodyHome') return false;
    // The rest is a failure to get an answer, with the question.
    const question: { readonly kind: 'knock'; readonly times: number } = answer.error.message;
    // @ts-expect-error the declared errors are all there are
    const other: boolean = answer.error === 'broken';
    return question.times > 1 && other;
  });
  const sent = sender.tell(door, 'open', { width: 2 });
  // @ts-expect-error the message is there only when the send has failed
  sent.error;
}

const message: MessageOf<Door> = { kind: 'knock', times: 3 };
// @ts-expect-error kind and body belong together
const mixed: MessageOf<Door> = { kind: 'open', times: 3 };

/** A start that answers with the wrong state. */
function wrongState(): unknown {
  return actor<undefined, Door, { open: boolean }>({
    name: 'door',
    mailboxMax: 4,
    supervision: { strategy: 'one-for-one', restartsMax: 0, withinMs: 1, otherwise: 'stop' },
    // @ts-expect-error the state has another shape
    start: (): Result<{ closed: boolean }, never> => ok({ closed: true }),
    on: good,
  });
}

const test = spec('types of actors');
test('the lines above compile exactly where they should', () => {
  for (const compiled of [good, missing, misspelt, wrongReply, undeclaredError, noAnswer, message, mixed]) {
    assert.type(compiled, 'object');
  }
  assert.type(senders, 'function');
  assert.type(wrongState, 'function');
});
test('a declaration out of limits is refused when its module loads', () => {
  const declare = (over: object): unknown =>
    actor<undefined, Door, { open: boolean }>({
      name: 'door',
      mailboxMax: 4,
      supervision: { strategy: 'one-for-one', restartsMax: 0, withinMs: 1, otherwise: 'stop' },
      start: () => ok({ open: true }),
      on: good,
      ...over,
    });
  assert.throws(() => declare({ name: 'The Door' }), /kebab-case/);
  assert.throws(() => declare({ mailboxMax: 1 }), /mailboxMax/);
  assert.throws(() => declare({ mailboxMax: 70_000 }), /mailboxMax/);
});
test.run();
