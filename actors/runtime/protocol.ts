/**
 * The types of an actor's messages. A protocol maps a message kind to `Tell<body>` (one way) or
 * `Ask<body, reply, errors>` (answered); everything else (the message union, the handlers an actor must have, what
 * `tell` and `ask` accept and return) is derived from it, so a missing handler or a misspelt kind does not compile.
 */
declare const phantom: unique symbol;

/** A one-way message with this body. */
export interface Tell<Body> {
  readonly [phantom]?: { readonly tell: Body };
}
/** A message that is answered with `Reply`, or refused with one of `Errors` (a closed union, `never` when it cannot be). */
export interface Ask<Body, Reply, Errors = never> {
  readonly [phantom]?: { readonly ask: Body; readonly reply: Reply; readonly errors: Errors };
}
/** The kinds of `P`, as strings. */
export type KindOf<P> = keyof P & string;
/** The kinds of `P` that are answered. */
export type AskKind<P> = { [K in KindOf<P>]: P[K] extends AskShape ? K : never }[KindOf<P>];

interface AskShape {
  readonly [phantom]?: { readonly ask: unknown; readonly reply: unknown; readonly errors: unknown };
}
type Phantom<D> = D extends { readonly [phantom]?: infer F } ? NonNullable<F> : never;

/** The body a handler of kind `K` receives. */
export type BodyOf<P, K extends KindOf<P>> =
  Phantom<P[K]> extends { readonly ask: infer B } ? B : Phantom<P[K]> extends { readonly tell: infer B } ? B : never;
/** What kind `K` is answered with. */
export type ReplyOf<P, K extends KindOf<P>> = Phantom<P[K]> extends { readonly reply: infer R } ? R : never;
/** The errors kind `K` declares. */
export type ErrorsOf<P, K extends KindOf<P>> = Phantom<P[K]> extends { readonly errors: infer E } ? E : never;
/** The message of kind `K`, as a union member: `{ kind, ...body }`. A failed send gives this back. */
export type MessageOf<P, K extends KindOf<P> = KindOf<P>> = { [X in K]: { readonly kind: X } & BodyOf<P, X> }[K];

/**
 * Names an actor; plain data, so it can stand in any message body or spawn config. It stays valid across restarts of
 * the actor and is refused (`notAlive`) once the actor has stopped for good. `actor` packs the slot in the switchboard
 * (low 12 bits) and its generation (20 bits).
 */
export interface ActorRef<P> {
  readonly actor: number;
  readonly [phantom]?: { readonly protocol: (protocol: P) => void };
}

/** Why a message was not accepted. Nothing was sent; the message comes back with the reason. */
export type SendReason =
  /** The mailbox is full: it never grows. Wait for space, or drop the message knowingly. */
  | 'mailboxFull'
  /** The actor has stopped, or never was. */
  | 'notAlive'
  /** The encoded body exceeds the mailbox's `messageBytesMax`. */
  | 'tooLarge'
  /** The body holds something the codec refuses (a function, a cycle, nesting deeper than its limit). */
  | 'unencodable'
  /** This actor already has as many unanswered asks as its reply queue has room for answers. */
  | 'tooManyAsks';
/** Why an accepted question stays without its answer. The other side may or may not have acted on it. */
export type NoAnswerReason =
  /** The other actor died (it may have been restarted since). */
  | 'died'
  /** No answer within the ask's time limit. */
  | 'timedOut'
  /** The answer was too large for this actor's reply queue, or could not be encoded. */
  | 'answerUnsendable';

/** A send that failed: why, and the message, whose ownership stays with (or returns to) the sender. */
export interface SendFailure<Message> {
  readonly reason: SendReason;
  readonly message: Message;
}
/** An ask without a declared answer: why, and the question. */
export interface AskFailure<Message> {
  readonly reason: SendReason | NoAnswerReason;
  readonly message: Message;
}
