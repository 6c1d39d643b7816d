import type { Deadline } from "../deadline.ts";
import type { CheckInput } from "./request.ts";
import type { Denial, Verdict } from "./verdict.ts";

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
  | { readonly kind: "redirect"; readonly to: string; readonly afterPost?: boolean; readonly cookies?: readonly ReplyCookie[] }
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

/** What connecting accounts adds to checks. */
export interface ConnectHooks {
  /** Whether the request is for a page of ours. Asked for every request: it compares a few bytes. */
  owns(input: CheckInput): boolean;
  /** Answers such a request, before the deadline. */
  answer(bytes: Uint8Array, deadline: Deadline): Promise<Verdict>;
  /** The denial with what its client needs to know to cure it, or an answer in its place that leads the user there; before the deadline. */
  offer(denial: Denial, bytes: Uint8Array, deadline: Deadline): Promise<Verdict>;
}
