import { inspect } from "node:util";

const redacted = "[redacted]";

/**
 * A value that must not be printed: a token, a client secret, a password. Only `reveal()` gives it back; JSON, string
 * and inspect forms are `[redacted]`.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself. Call it only where the value leaves the process in its intended place. */
  reveal(): string {
    return this.#value;
  }

  toJSON(): string {
    return redacted;
  }

  toString(): string {
    return redacted;
  }

  [inspect.custom](): string {
    return redacted;
  }
}
