/** The statuses whose answers have no body (Fetch standard, null body status). */
const withoutBody: ReadonlySet<number> = new Set([204, 205, 304]);

/** Fields of an answer, by their names in lower case; the values of repeated ones joined by ", " (RFC 9110 §5.3). */
export type HttpFields = Readonly<Record<string, string | undefined>>;

/** What an answer is made of. */
export interface HttpAnswerParts {
  readonly status: number;
  readonly statusText?: string | undefined;
  readonly fields?: HttpFields | undefined;
  /** Default: none. */
  readonly text?: string | undefined;
  readonly url?: string | undefined;
}

/**
 * An answer whose body has been read. It replaces a `Response` for openid-client and jose: a real one keeps its body in
 * a web stream, which costs more CPU than the request itself.
 */
export function httpAnswer(parts: HttpAnswerParts): HttpAnswer {
  return new ReadResponse(parts) as unknown as HttpAnswer;
}

/** A Response of {@link httpAnswer}. No other is one: its body would still have to be read, within a bound. */
export type HttpAnswer = Response & ReadResponse;

/** The part of a Response that these libraries use. */
class ReadResponse {
  readonly status: number;
  readonly statusText: string;
  readonly url: string;
  readonly headers: { get(name: string): string | null; has(name: string): boolean };
  readonly body = null;
  readonly bodyUsed = false;
  readonly #parts: HttpAnswerParts;
  readonly #text: string;

  constructor(parts: HttpAnswerParts) {
    const { status, statusText = "", fields = {}, text = "", url = "" } = parts;
    this.status = status;
    this.statusText = statusText;
    this.url = url;
    this.headers = {
      get: (name) => fields[name.toLowerCase()] ?? null,
      has: (name) => fields[name.toLowerCase()] !== undefined,
    };
    this.#parts = parts;
    this.#text = withoutBody.has(status) ? "" : text;
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  async text(): Promise<string> {
    return this.#text;
  }

  async json(): Promise<unknown> {
    return JSON.parse(this.#text);
  }

  clone(): ReadResponse {
    return new ReadResponse(this.#parts);
  }

  /** By this name openid-client accepts it as a Response, as it accepts those of other realms. */
  get [Symbol.toStringTag](): string {
    return "Response";
  }
}

/** Whether a value, such as an error's cause, is an answer. */
export function isHttpAnswer(value: unknown): value is HttpAnswer {
  return value instanceof ReadResponse;
}
