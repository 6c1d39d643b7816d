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
import { returnPath } from "./links.ts";
import { isUsers, type McpAnswer, type McpLack, mcpAnswerTo } from "./mcp-answer.ts";
import type { ResourceMetadata } from "./resource-metadata.ts";
import { beginsSessions, isConnectable } from "./start.ts";

interface OfferDeps {
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
  const { providers, sessions, ownSessions, sourcesByName, tickets, asks, links, titleOf, loginOf, log } = context;
  const kinds = new Map(sources.map((source) => [source.name, source]));

  return async function offer(
    denial: Denial,
    bytes: Uint8Array,
    deadline: Deadline,
    known?: Session,
  ): Promise<Verdict> {
    const input = isTold(denial) ? decode(bytes) : undefined;
    if (input === undefined) return denial;
    const plain: Denial = { ...denial, ...beginningOf(denial), resourceMetadata: resources.urlFor(input) };
    const lacks = lackOf(plain);
    const isMcp = lacks !== undefined && routes.isMcp(input) && !isNavigation(input);
    const isOthers = lacks !== undefined && !isUsers(lacks);
    if (isOthers && !isMcp) return plain;
    if (!isOthers && plain.upstream !== undefined) {
      // Without grants, as where tokens are minted, no page cures anything.
      if (!providers.has(loginOf(plain.upstream))) return isMcp ? consent(plain, input) : plain;
      if (!isMcp && !hasLogin(plain.upstream)) return plain;
    }
    const failed = (reason: string) => withoutLink(plain, isMcp, reason);
    return deadline.before(
      (isMcp ? answerMcp : cure)(plain, input, known).catch((error: unknown) => failed(messageOf(error))),
      () => failed("deadline"),
    );
  };

  /** A session of ours begins with an account: where several upstreams are asked for, with the first that begins one. */
  function beginningOf({ reason, upstreams }: Denial): Pick<Denial, "upstream"> | undefined {
    const upstream = reason === "session_missing" ? upstreams?.find(begins) : undefined;
    return upstream === undefined ? undefined : { upstream };
  }

  async function cure(plain: Denial, input: CheckInput, known?: Session): Promise<Verdict> {
    const way = await wayOf(plain, input, known);
    if (way === undefined) return plain;
    if (way.kind === "direct" && isNavigation(input)) {
      const returnTo = links.isOwnHost(input.host) ? returnPath(input.path, links.origin) : undefined;
      return led(plain, "redirect", { kind: "redirect", to: await urlOf(way, plain, returnTo) });
    }
    return { ...plain, connectUrl: await urlOf(way, plain) };
  }

  async function answerMcp(plain: Denial, input: CheckInput, known?: Session): Promise<Verdict> {
    const lacks = lackOf(plain) ?? "account";
    const upstream = isUsers(lacks) ? loginOf(plain.upstream ?? "") : (plain.upstream ?? "");
    const answer: McpAnswer = mcpAnswerTo({ input, upstream, title: titleOf(upstream), lacks, assumeUrlElicitation });
    if (answer.kind === "plain") return { kind: "reply", reply: answer.reply };
    const isCured = isUsers(lacks) && hasLogin(upstream);
    const way = isCured ? await wayOf(plain, input, known) : undefined;
    const url = way && (await urlOf(way, plain));
    return led(plain, url === undefined ? "message" : "elicitation", answer.reply(url));
  }

  /** A 401 would send an MCP client to its issuer, where the session's login gives no such consent. */
  function consent(plain: Denial, input: CheckInput): Verdict {
    const { upstream = "", help } = plain;
    if (help?.consentUrl === undefined) return plain;
    const answer = mcpAnswerTo({ input, upstream, title: titleOf(upstream), lacks: "scope", assumeUrlElicitation });
    if (answer.kind === "plain") return { kind: "reply", reply: answer.reply };
    return led(plain, "elicitation", answer.reply(help.consentUrl));
  }

  function begins(upstream: string): boolean {
    return beginsSessions(providers.get(loginOf(upstream)));
  }

  function hasLogin(upstream = ""): boolean {
    return isConnectable(providers.get(loginOf(upstream)));
  }

  async function urlOf(way: Way, { session, scope, ...denial }: Denial, returnTo?: string): Promise<string> {
    const upstream = loginOf(denial.upstream ?? "");
    if (way.kind === "ticket") return links.connect(upstream, { ticket: await ticketOf(way, upstream, scope) });
    const isAsked = scope !== undefined && session !== undefined;
    return links.connect(upstream, {
      ask: isAsked ? await asks.issue({ session, upstream, scope }) : undefined,
      returnTo,
    });
  }

  /** An MCP client takes a 401 for the end of its session: it is told to come again instead. */
  function withoutLink(plain: Denial, isMcp: boolean, reason: string): Denial {
    log.warn(
      { event: "connect_failed", upstream: plain.upstream, reason },
      "no link to connect an account can be given",
    );
    return isMcp ? { ...plain, reason: "unavailable", why: `no link: ${reason}` } : plain;
  }

  /** Such an answer is logged as a denial is, since it takes the place of one. */
  function led(
    { reason, upstream, session }: Denial,
    way: "redirect" | "elicitation" | "message",
    reply: Reply,
  ): Verdict {
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
  async function wayOf({ reason }: Denial, input: CheckInput, known?: Session): Promise<Way | undefined> {
    if (reason === "session_missing") return ownSessions === undefined ? undefined : { kind: "direct" };
    const session = known ?? (await identified(input));
    if (session === undefined) return undefined;
    const source = kinds.get(session.source);
    if (source !== undefined && "from" in source && "cookie" in source.from) return { kind: "direct" };
    const subject = session.owner?.subject;
    return subject === undefined || !sourcesByName.has(session.source)
      ? undefined
      : { kind: "ticket", session, subject };
  }

  async function identified(input: CheckInput): Promise<Session | undefined> {
    const identification = await sessions.identify(input);
    return identification.kind === "identified" ? identification.session : undefined;
  }

  function ticketOf(
    { session: { session, source }, subject }: Way & { readonly kind: "ticket" },
    upstream: string,
    scope: string | undefined,
  ): Promise<string> {
    return tickets.issue({ session, source, subject, upstream, scope });
  }
}

/** What is missing although the session is good: an account, access that its user can give, or that others can. */
function lackOf({ reason }: Pick<Denial, "reason">): McpLack | undefined {
  switch (reason) {
    case "grant_missing":
    case "grant_refused":
      return "account";
    case "insufficient_scope":
      return "scope";
    case "policy_refused":
      return "policy";
    case "identity_refused":
      return "acceptance";
    default:
      return undefined;
  }
}

/**
 * Whether the client can do something about it, by a login, or by getting a session where the metadata says; or whether
 * MCP clients are to be told in their own words.
 */
function isTold({ reason }: Denial): boolean {
  return lackOf({ reason }) !== undefined || reason === "session_missing" || reason === "session_invalid";
}

/** Whether a person opened the address in a browser. A script in a page could not follow to another site's login. */
function isNavigation(input: CheckInput): boolean {
  return (
    input.method === "GET" &&
    input.header("sec-fetch-mode") === "navigate" &&
    /\btext\/html\b/i.test(input.header("accept") ?? "")
  );
}
