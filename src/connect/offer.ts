import type { Reply } from "../check/reply.ts";
import type { DecodeCheck } from "../check/request.ts";
import type { Routes } from "../check/routes.ts";
import type { Denial, Verdict } from "../check/verdict.ts";
import type { Deadline } from "../platform/deadline.ts";
import { messageOf } from "../platform/error.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import type { Session } from "../sessions/session.ts";
import type { SourceConfig } from "../sessions/source-config.ts";
import { shortHash } from "../stores/grant.ts";
import type { ConnectContext } from "./context.ts";
import { elicitationFor } from "./elicitation.ts";
import { returnPath } from "./links.ts";
import type { ResourceMetadata } from "./resource-metadata.ts";

export interface OfferDeps {
  readonly context: ConnectContext;
  readonly decode: DecodeCheck;
  readonly sources: readonly SourceConfig[];
  readonly routes: Routes;
  readonly resources: ResourceMetadata;
  readonly assumeUrlElicitation: boolean;
}

/** How an account can be connected: by the session at the browser, or after the login that a ticket asks for. */
type Way =
  | { readonly kind: "direct" }
  | { readonly kind: "ticket"; readonly session: Session; readonly subject: string };

/**
 * Adds to a denial what leads its user to a login: a link, or a redirect or a question for an MCP client in its place.
 */
export function createOffer({ context, decode, sources, routes, resources, assumeUrlElicitation }: OfferDeps) {
  const { providers, sessions, ownSessions, sourcesByName, tickets, links, titleOf, log } = context;
  const kinds = new Map(sources.map((source) => [source.name, source]));

  return async function offer(denial: Denial, bytes: Uint8Array, deadline: Deadline): Promise<Verdict> {
    const input = isCurable(denial) ? decode(bytes) : undefined;
    if (input === undefined) return denial;
    const plain: Denial = { ...denial, resourceMetadata: resources.urlFor(input) };
    const upstream = denial.upstream ?? "";
    if (providers.get(upstream)?.login === undefined) return plain;
    const late = () => withoutLink(plain, "deadline");
    return deadline.before(
      cure(plain, upstream, input).catch((error: unknown) => withoutLink(plain, messageOf(error))),
      late,
    );
  };

  async function cure(plain: Denial, upstream: string, input: CheckInput): Promise<Verdict> {
    const way = await wayOf(plain, input);
    return way === undefined ? plain : lead(plain, upstream, way, input);
  }

  function withoutLink(plain: Denial, reason: string): Denial {
    log.warn(
      { event: "connect_failed", upstream: plain.upstream, reason },
      "no link to connect an account can be given",
    );
    return plain;
  }

  async function lead(denial: Denial, upstream: string, way: Way, input: CheckInput): Promise<Verdict> {
    if (way.kind === "direct" && isNavigation(input)) {
      const returnTo = links.isOwnHost(input.host) ? returnPath(input.path, links.origin) : undefined;
      return led(denial, "redirect", { kind: "redirect", to: links.connect(upstream, { returnTo }) });
    }
    const elicit =
      denial.reason !== "session_missing" && routes.isMcp(input)
        ? elicitationFor({ input, upstream, title: titleOf(upstream), assumeAble: assumeUrlElicitation })
        : undefined;
    const url = links.connect(upstream, { ticket: way.kind === "ticket" ? await ticketOf(way, upstream) : undefined });
    return elicit === undefined
      ? { ...denial, connectUrl: url }
      : led(denial, "elicitation", { kind: "json", body: elicit(url) });
  }

  /** Such an answer is logged as a denial is, since it takes the place of one. */
  function led({ reason, upstream, session }: Denial, way: "redirect" | "elicitation", reply: Reply): Verdict {
    log.info(
      { event: "connect_offered", upstream, session: session && shortHash(session), reason, way },
      "a user was led to connect an account",
    );
    return { kind: "reply", reply };
  }

  /**
   * A session in a cookie is at the browser. One in a header is not: whoever opens its link has to log in, and that
   * takes a subject to compare the login with.
   */
  async function wayOf({ reason }: Denial, input: CheckInput): Promise<Way | undefined> {
    if (reason === "session_missing") return ownSessions === undefined ? undefined : { kind: "direct" };
    const identification = await sessions.identify(input);
    if (identification.kind !== "identified") return undefined;
    const { session } = identification;
    const source = kinds.get(session.source);
    if (source !== undefined && "from" in source && "cookie" in source.from) return { kind: "direct" };
    const subject = session.owner?.subject;
    return subject === undefined || !sourcesByName.has(session.source)
      ? undefined
      : { kind: "ticket", session, subject };
  }

  function ticketOf({ session, subject }: Way & { readonly kind: "ticket" }, upstream: string): Promise<string> {
    return tickets.issue({ session: session.session, source: session.source, subject, upstream });
  }
}

/** Whether the client can do something about it: by a login, or by getting a session where the metadata says. */
function isCurable({ reason }: Denial): boolean {
  return (
    reason === "grant_missing" ||
    reason === "grant_refused" ||
    reason === "session_missing" ||
    reason === "session_invalid"
  );
}

/** Whether a person opened the address in a browser. A script in a page could not follow to another site's login. */
function isNavigation(input: CheckInput): boolean {
  return (
    input.method === "GET" &&
    input.header("sec-fetch-mode") === "navigate" &&
    /\btext\/html\b/i.test(input.header("accept") ?? "")
  );
}
