/**
 * One request that Check is asked about. Only what the configuration needs is decoded, and only when it is looked at.
 */
export interface CheckInput {
  /** The value of a header that the decoder was told to look at. Duplicates are joined by commas. */
  header(name: string): string | undefined;
  /**
   * The `cookie` header, one character for each byte (latin1): cookies are told apart by their bytes. Lines that came
   * one by one are joined by `; `, as Envoy joins those of HTTP/2 (RFC 9113 §8.2.3); without `encode_raw_headers` it
   * has joined those of HTTP/1 by a comma already.
   */
  readonly cookies: string | undefined;
  /**
   * The last characters of a header's value, a short key for a long credential; undefined where it is short itself, or
   * there are duplicates of it.
   */
  tail(name: string): string | undefined;
  /** Whether a header has this value alone. Nothing is hashed, so that it costs less than a look-up by the value. */
  equals(name: string, value: string): boolean;
  /** The request's `:path`, query included. */
  readonly path: string;
  readonly host: string;
  readonly method: string;
  /** Whether the method is this one. Cheaper than the method. */
  methodIs(name: Buffer): boolean;
  /**
   * `x-request-id`, by which Envoy's access logs know the request; empty where Envoy sets none. A client may have
   * chosen it.
   */
  readonly requestId: string;
  /** What the route's `context_extensions` say under `upstream`. */
  readonly upstream: string | undefined;
  /** What they say under `missing`. */
  readonly missing: string | undefined;
  /** Whether they say `mcp: "true"`. */
  readonly mcp: boolean;
  /** The part of the body that Envoy sent; empty unless the decoder was told to look at it. */
  readonly body: string;
  /** Whether `:path` begins with these bytes, which costs less than to decode the path. */
  pathStartsWith(prefix: Buffer): boolean;
  /** The peer's identity from its certificate; empty without mTLS. */
  readonly principal: string;
  /** One namespace of the filter metadata that Envoy was told to pass on. */
  metadata(namespace: string): Readonly<Record<string, unknown>> | undefined;
}

/** The parts of a request that somebody will look at. */
export interface Wanted {
  /** Lower-case names. */
  readonly headers: Iterable<string>;
  readonly metadata: boolean;
  /** The request's body; default false. */
  readonly body?: boolean | undefined;
}
