/** A cookie for the whole host. No script can read it, and other sites send it only by a link that is followed. */
export interface ReplyCookie {
  /** Begins with `__Host-`. */
  readonly name: string;
  readonly value: string;
  readonly maxAgeMs: number;
}

/** What a page says of the request; it becomes the HTTP status. */
export type PageStatus = "ok" | "invalid" | "forbidden" | "not_found" | "wrong_method" | "too_many" | "unavailable";

/** What becomes of a JSON-RPC message. */
export type RpcStatus = "ok" | "accepted" | "invalid" | "wrong_method" | "unavailable";

/** An answer of our own, sent to the client in place of an upstream's. */
export type Reply =
  | {
      readonly kind: "redirect";
      readonly to: string;
      readonly afterPost?: boolean;
      readonly cookies?: readonly ReplyCookie[];
    }
  | {
      readonly kind: "page";
      readonly status: PageStatus;
      readonly html: string;
      readonly contentSecurityPolicy: string;
      /**
       * True: the page's forms must send their Origin, which browsers leave out where no referrer may be sent at all.
       */
      readonly hasForms?: boolean;
      readonly cookies?: readonly ReplyCookie[];
    }
  /** An answer to JSON-RPC over HTTP (MCP, Streamable HTTP); with `asEvent` in a stream of that one event. */
  | { readonly kind: "rpc"; readonly status: RpcStatus; readonly body: string; readonly asEvent?: boolean }
  /** JSON, 200; `shared` is for any site to read. Without `maxAgeMs` it is kept by nobody. */
  | { readonly kind: "json"; readonly body: string; readonly shared?: boolean; readonly maxAgeMs?: number };
