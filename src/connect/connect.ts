import type { ConnectHooks } from "../check/connect-hooks.ts";
import type { Reply, ReplyCookie } from "../check/reply.ts";
import type { DecodeCheck } from "../check/request.ts";
import type { Routes } from "../check/routes.ts";
import type { Verdict } from "../check/verdict.ts";
import { messageOf } from "../platform/error.ts";
import { clientDocumentName } from "../providers/own-addresses.ts";
import { clientDocument } from "../providers/own-client.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import type { SessionSource } from "../sessions/session.ts";
import type { SourceConfig } from "../sessions/source-config.ts";
import { createAskedScopes } from "./asked-scopes.ts";
import { createCallback } from "./callback.ts";
import type { ConnectConfig } from "./config.ts";
import type { ConnectContext } from "./context.ts";
import { createDisconnect } from "./disconnect.ts";
import { createAsks, createTickets } from "./invitations.ts";
import { createLinks } from "./links.ts";
import { callOf } from "./mcp-call.ts";
import { createMessages } from "./messages.ts";
import { createOffer } from "./offer.ts";
import { createOverview } from "./overview.ts";
import { createResourceMetadata, wellKnownPath } from "./resource-metadata.ts";
import { createSecretForm } from "./secret-form.ts";
import { createSignIn } from "./sign-in.ts";
import { createStart } from "./start.ts";
import { createStates, type FlowState } from "./states.ts";
import { createStepUp } from "./step-up.ts";

interface ConnectDeps
  extends Omit<ConnectContext, "states" | "tickets" | "asks" | "askedScopes" | "links" | "messages"> {
  readonly config: ConnectConfig;
  /** The scopes of an upstream that its users may be asked for; undefined where nobody is asked for more. */
  readonly stepUpScopesOf: ((upstream: string) => readonly string[]) | undefined;
  readonly sources: readonly SourceConfig[];
  readonly routes: Routes;
  /** The upstreams whose redirect URIs our client's document names. */
  readonly mcpServers: readonly string[];
  /** Reads what pages need and ordinary checks do not: see {@link connectHeaders}, and the body. */
  readonly decode: DecodeCheck;
}

/** Lets users connect accounts, from within Check: Envoy passes our answers on, and no further listener is needed. */
export interface Connect extends ConnectHooks {
  /**
   * The same for somebody who only looks: no page is made and no invitation issued. Links and answers are those that the
   * client would get, with {@link withheld} in place of an invitation's id.
   *
   * @param sessions tells sessions without any effect
   */
  looking(sessions: SessionSource): ConnectHooks & Pick<ConnectLook, "pageOf">;
  /** Resolves when all tokens that providers have given are stored. */
  settled(): Promise<void>;
}

interface ConnectLook {
  /** Which page of ours a request is for, and whether it would be shown. */
  pageOf(input: CheckInput): OwnPage;
}

/** A page of ours, by the first part of its address; "" is the overview. */
export interface OwnPage {
  readonly name: string;
  readonly kind: "shown" | "too_long" | "not_found" | "wrong_method";
}

/** Stands in an address where an id would: nobody is invited by it. */
export const withheld = "WITHHELD";

/** The headers that pages, links and MCP answers depend on, beside the sessions' own. */
export const connectHeaders = [
  "cookie",
  "origin",
  "accept",
  "sec-fetch-mode",
  "mcp-protocol-version",
  "mcp-session-id",
  "x-envoy-auth-partial-body",
];

/** For this long, ms, servers need not read our client's document again: a new key or upstream is known after it. */
const documentAgeMs = 5 * 60 * 1_000;

/** In characters. A longer request for a page is refused unread: codes and states are short. */
const longestPath = 8_192;

export function createConnect(deps: ConnectDeps): Connect {
  const { config, sources, routes, mcpServers, decode, stepUpScopesOf, ...parts } = deps;
  const links = createLinks(config);
  const redirectUriOf = ({ upstream, redirect }: Pick<FlowState, "upstream" | "redirect">) =>
    links.callback(redirect === "own" ? upstream : undefined);
  const states = createStates({ ...parts, redirectUriOf });
  const context: ConnectContext = {
    ...parts,
    links,
    messages: createMessages(links, parts.titleOf, parts.pageSessions !== undefined),
    states,
    tickets: createTickets(parts),
    asks: createAsks(parts),
    askedScopes: createAskedScopes(parts),
  };
  const resources = createResourceMetadata(
    config.resources,
    sources.flatMap((source) => (source.kind === "jwt" ? [source.issuer] : [])),
  );
  const start = createStart(context);
  const signIn = createSignIn(context, start);
  const callback = createCallback(context, { start, signIn });
  const secretForm = createSecretForm(context);
  const [overview, disconnect] = [createOverview(context), createDisconnect(context)];
  const prefix = Buffer.from(config.prefix);
  const wellKnown = config.resources.length === 0 ? undefined : Buffer.from(wellKnownPath);
  const { messages, log } = context;
  const { assumeUrlElicitation } = config;
  const hasDocument = mcpServers.length > 0 && config.offersDocument;
  const offer = createOffer({ context, decode, sources, routes, resources, assumeUrlElicitation });

  const owns = (input: CheckInput) =>
    input.pathStartsWith(prefix) || (wellKnown !== undefined && input.pathStartsWith(wellKnown));

  return {
    owns,

    looking(sessions) {
      const issue = async () => withheld;
      const invitations = { tickets: { ...context.tickets, issue }, asks: { ...context.asks, issue } };
      const looked = { ...context, ...invitations, sessions, log: log.child({}, { level: "silent" }) };
      return {
        owns,
        answer: async () => ({ kind: "passthrough" }),
        offer: createOffer({ context: looked, decode, sources, routes, resources, assumeUrlElicitation }),
        pageOf,
      };
    },

    async answer(bytes, deadline): Promise<Verdict> {
      const input = decode(bytes);
      if (input === undefined) return { kind: "deny", reason: "bad_request" };
      // If a provider is slow the user gets a page that says so, and the work goes on.
      const cookies: ReplyCookie[] = [];
      return {
        kind: "reply",
        reply: await deadline.before(reply(input, cookies).catch(failed), () => messages.slow(cookies)),
      };
    },

    offer,
    callOf: stepUpScopesOf && (({ body }, upstream) => (body === "" ? undefined : callOf(body, upstream))),
    stepUp: stepUpScopesOf && createStepUp({ context, allowedFor: stepUpScopesOf, offer }),
    async settled() {
      await Promise.all([callback.settled(), secretForm.settled()]);
    },
  };

  /** @param cookies gets the cookies that the browser needs even if the answer comes too late for it */
  async function reply(input: CheckInput, cookies: ReplyCookie[]): Promise<Reply> {
    const page = pageOf(input);
    if (page.kind === "too_long") return messages.unreadable("Its address is longer than any that is handed out here.");
    const [path = "", search = ""] = split(input.path);
    if (path.startsWith(wellKnownPath)) return metadata(path);
    if (page.kind !== "shown") return page.kind === "not_found" ? messages.notFound() : messages.wrongMethod();
    const [, name = ""] = path.slice(config.prefix.length).split("/");
    const query = new URLSearchParams(search);
    const pages: Readonly<Record<PageName, () => Promise<Reply>>> = {
      "": () => overview(input),
      connect: () => start.begin(input, name, query),
      secret: () => secretForm.handle(input, name, query, cookies),
      callback: () => callback.handle(input, name, query, cookies),
      disconnect: () => disconnect(input, name, query),
      [clientDocumentName]: async () => document(),
      login: () => signIn.begin(input, name),
      logout: () => signIn.logOut(input, query),
    };
    return pages[page.name as PageName]();
  }

  function pageOf({ path: target, method }: CheckInput): OwnPage {
    if (target.length > longestPath) return { name: "", kind: "too_long" };
    const [path] = split(target);
    if (path.startsWith(wellKnownPath))
      return { name: wellKnownPath, kind: resources.at(path) === undefined ? "not_found" : "shown" };
    const [page = "", name = "", ...more] = path.slice(config.prefix.length).split("/");
    const isPage = isPageName(page) && more.length === 0 && isNamedAs(page, name);
    if (!isPage || (page === clientDocumentName && !hasDocument)) return { name: page, kind: "not_found" };
    return { name: page, kind: methodsOf[page].includes(method) ? "shown" : "wrong_method" };
  }

  /** Read by servers where users log in. It says nothing that is secret, and is made anew for each, as it is short. */
  function document(): Reply {
    return {
      kind: "json",
      body: JSON.stringify(clientDocument(config, mcpServers)),
      shared: true,
      maxAgeMs: documentAgeMs,
    };
  }

  function metadata(path: string): Reply {
    const body = resources.at(path);
    return body === undefined ? messages.notFound() : { kind: "json", body, shared: true };
  }

  /** The page that says so if a store or a provider fails. */
  function failed(error: unknown): Reply {
    log.error({ event: "connect_failed", reason: messageOf(error) }, "a page could not be made");
    return messages.unavailable("Something that is needed for this did not answer.");
  }
}

type PageName = "" | "connect" | "secret" | "callback" | "disconnect" | "login" | "logout" | typeof clientDocumentName;

/** The pages, with the methods that they are asked for by. */
const methodsOf: Readonly<Record<PageName, readonly string[]>> = {
  "": ["GET"],
  connect: ["GET"],
  secret: ["GET", "POST"],
  callback: ["GET"],
  disconnect: ["POST"],
  [clientDocumentName]: ["GET"],
  login: ["GET"],
  logout: ["POST"],
};

function isPageName(text: string): text is PageName {
  return Object.hasOwn(methodsOf, text);
}

/** Their addresses go on with the name of an upstream or a source. */
const takesName: ReadonlySet<string> = new Set(["connect", "secret", "disconnect", "login"]);

/** `callback` goes on with a name for upstreams that have a redirect URI of their own. */
function isNamedAs(page: string, name: string): boolean {
  return page === "callback" || (name !== "") === takesName.has(page);
}

function split(target: string): [path: string, search: string] {
  const [whole = ""] = target.split("#", 1);
  const at = whole.indexOf("?");
  return at === -1 ? [whole, ""] : [whole.slice(0, at), whole.slice(at + 1)];
}
