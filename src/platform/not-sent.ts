import { codeOf } from "./error.ts";

/**
 * What kept a request from being sent: nothing of it has left this machine. It reads like its reason, whose message,
 * name, code and cause it has; it is an error of its own, as others may have failed for the same reason after sending.
 */
export class NotSentError extends Error {
  readonly code: string | undefined;
  /** Whether it was withheld here, for no reason of the network. */
  readonly isWithheld: boolean;

  /** @param reason none: the request may not be sent */
  constructor(reason?: unknown) {
    super(reason instanceof Error ? reason.message : String(reason ?? "not sent"), causeOf(reason));
    if (reason instanceof Error) this.name = reason.name;
    this.code = codeOf(reason);
    this.isWithheld = reason === undefined;
  }
}

function causeOf(reason: unknown): ErrorOptions {
  return reason instanceof Error && reason.cause !== undefined ? { cause: reason.cause } : {};
}
