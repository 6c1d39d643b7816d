/** What went wrong, for code that has to tell the cases apart. */
type ErrorCode =
  /** The configuration cannot be used; the message lists every problem. */
  | "config"
  /** An address cannot be listened on or reached. */
  | "address"
  /** The store did not answer, or answered with an error, so that nothing is known about the grant. */
  | "store_unavailable"
  /** A stored value cannot be read; it is left where it is. */
  | "store_corrupt"
  /**
   * A stored value does not open with the configured keys, or is not sealed although it should be; it is left where it
   * is.
   */
  | "store_sealed"
  /** The bounded memory store has no room for one more grant. */
  | "store_full"
  /** How to log in at an MCP server cannot be found out now, or not in a way that may be used. */
  | "discovery"
  /** Our client could not be registered at an authorization server, and nobody has configured one. */
  | "registration"
  /** What an operator typed or piped in cannot be used. */
  | "input";

/**
 * The one error class for everything that is not an expected outcome. The message says what went wrong, where, and what
 * to do. It holds no secret.
 */
export class BearerswapError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "BearerswapError";
    this.code = code;
  }
}

/** openid-client's message for an error that it did not make, which it puts into `cause`. */
const saysNothing = "something went wrong";

/**
 * What a library has wrapped without a word of its own: under a message that says nothing, or under the very message
 * that the cause has, so that a reader would get it twice.
 */
function unwrapped(error: unknown): unknown {
  if (!(error instanceof Error && error.cause instanceof Error)) return error;
  const { message, cause } = error;
  return message === saysNothing || message === cause.message ? unwrapped(cause) : error;
}

/** The message of anything thrown, for a log line or a wrapping error. */
export function messageOf(thrown: unknown): string {
  const error = unwrapped(thrown);
  if (error instanceof AggregateError && error.message === "") return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}

/**
 * The error's message and those of its causes, down to a given depth.
 * @param more what is said of a cause that is no Error
 */
export function withCauses(thrown: unknown, depth = 1, more: (cause: unknown) => string = () => ""): string {
  const error = unwrapped(thrown);
  const message = messageOf(error);
  if (!(error instanceof Error) || depth === 0) return message;
  const { cause } = error;
  return cause instanceof Error ? `${message}: ${withCauses(cause, depth - 1, more)}` : `${message}${more(cause)}`;
}

/**
 * The system's or a library's code for an error, such as ECONNREFUSED. Some put the error that has it into `cause`,
 * Node several of them into an AggregateError.
 */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("code" in error && typeof error.code === "string") return error.code;
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  return codeOf(error.cause);
}

/** What to tell an operator of an error, line by line: a sentence, and perhaps the problems one by one. */
export function linesOf(error: unknown): readonly string[] {
  const message = error instanceof BearerswapError ? error.message : `unexpected: ${messageOf(error)}`;
  return message.split("\n").map((line) => line.trim());
}
