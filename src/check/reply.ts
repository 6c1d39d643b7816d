/** A cookie for the whole host, which no script reads and no other site sends along but by a link. */
export interface ReplyCookie {
  /** Begins with `__Host-`. */
  readonly name: string;
  readonly value: string;
  readonly maxAgeMs: number;
}

/** How a page stands to what was asked for. */
export type PageStatus = "ok" | "invalid" | "forbidden" | "not_found" | "wrong_method" | "unavailable";

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
      /** The page's forms must send their Origin, which a browser leaves out where no referrer is to be sent at all. */
      readonly hasForms?: boolean;
      readonly cookies?: readonly ReplyCookie[];
    }
  /** JSON, 200; `shared` is for any site to read. */
  | { readonly kind: "json"; readonly body: string; readonly shared?: boolean };
