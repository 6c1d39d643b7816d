import type { Reply } from "../check/reply.ts";
import { foreignText } from "../platform/foreign-text.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import type { Session } from "../sessions/session.ts";
import type { GrantKey } from "../stores/grant.ts";
import type { GrantRow } from "../stores/token-store.ts";
import { mayUse } from "../tokens/owner.ts";
import { createAccounts } from "./accounts.ts";
import { type Browser, browserFor } from "./browser.ts";
import type { ConnectContext } from "./context.ts";
import { contentSecurityPolicy, type Html, html, layout } from "./html.ts";
import { logInOffers, signedInAs } from "./sign-in-parts.ts";
import { isConnectable } from "./start.ts";
import { type Visitor, visitorOf } from "./visitor.ts";

/** How one upstream stands with the session. */
interface Connection {
  readonly upstream: string;
  readonly state: "connected" | "needs_login" | "needs_secret" | "trouble" | "none";
  readonly since?: number;
  /** Of a secret: when it was last used. */
  readonly usedAt?: number | undefined;
  readonly account?: string | undefined;
  readonly canConnect: boolean;
}

/** The page at the prefix: the session's upstreams, each with what can be done about it. */
export function createOverview(context: ConnectContext): (input: CheckInput) => Promise<Reply> {
  const { providers, store, flows, messages, random, secrets } = context;
  const accounts = createAccounts(flows);

  return async function overview(input) {
    const visitor = await visitorOf(input, context, "latest");
    if (visitor.kind === "stranger") return welcome(context);
    if (visitor.kind === "unknown") return messages.unavailable("It cannot be told right now whose session this is.");
    const session = visitor.kind === "session" ? visitor.session : undefined;
    const connections = await Promise.all([...providers.keys()].map((upstream) => connectionOf(session, upstream)));
    const shown = connections.filter(({ state, canConnect }) => canConnect || state !== "none");
    const browser = browserFor(input, random);
    const page = visitor.kind === "session" ? visitor.page : undefined;
    const content = html`${page && signedInAs(context, page, browser)}${list(context, shown, visitor, browser)}${page === undefined ? logInOffers(context) : ""}`;
    return {
      kind: "page",
      status: "ok",
      html: layout("Connected accounts", content),
      contentSecurityPolicy,
      hasForms: true,
      cookies: [browser.cookie],
    };
  };

  async function connectionOf(session: Session | undefined, upstream: string): Promise<Connection> {
    const provider = providers.get(upstream);
    const canConnect = isConnectable(provider);
    if (session === undefined) return { upstream, state: "none", canConnect };
    const key = { session: session.session, upstream };
    const read = await store.read(key);
    // The session cannot use a grant of another subject, and its user must not learn whose account it is.
    if (read.kind !== "found" || !mayUse(session, read.row.grant.subject))
      return { upstream, state: "none", canConnect };
    // Left from a time when the upstream had another kind of token.
    if ((read.row.grant.isSecret === true) !== (provider?.secret !== undefined))
      return { upstream, state: "none", canConnect };
    if (read.row.grant.isSecret) return secretOf(key, read.row, canConnect);
    const account = await accounts.nameOf(key, read.row.grant).catch(() => undefined);
    return { upstream, state: stateOf(read.row), since: read.row.grant.createdAt, account, canConnect };
  }

  async function secretOf(key: GrantKey, row: GrantRow, canConnect: boolean): Promise<Connection> {
    const state = row.isRejected ? "needs_secret" : "connected";
    const usedAt = await secrets.lastUsedAt(key, row.version);
    return { upstream: key.upstream, state, since: row.grant.createdAt, usedAt, canConnect };
  }
}

/** For a browser without any session: where to log in, if anywhere. */
function welcome(context: ConnectContext): Reply {
  const offers = logInOffers(context);
  if (offers === undefined) return context.messages.stranger();
  return { kind: "page", status: "ok", html: layout("Connected accounts", offers), contentSecurityPolicy };
}

function stateOf({ state, access, grant, backOffMs }: GrantRow): Connection["state"] {
  if (state === "dead" || (grant.refreshToken === undefined && access === undefined)) return "needs_login";
  return backOffMs > 0 ? "trouble" : "connected";
}

const states = {
  connected: { words: "Connected", look: "good", hint: undefined },
  needs_login: {
    words: "Needs a new login",
    look: "bad",
    hint: "The provider no longer accepts what it gave. Connect again to go on.",
  },
  needs_secret: {
    words: "Needs another secret",
    look: "bad",
    hint: "It no longer accepts the one that you entered. Connect again with another one to go on.",
  },
  trouble: {
    words: "Trouble at the provider",
    look: "bad",
    hint: "It did not answer as it should the last time. It is asked again by itself; there is nothing for you to do.",
  },
  none: { words: "Not connected", look: "soft", hint: undefined },
} as const;

function list(
  { links, titleOf }: ConnectContext,
  connections: readonly Connection[],
  visitor: Visitor,
  browser: Browser,
): Html {
  const session = visitor.kind === "session" ? visitor.session.session : "";
  const isPage = visitor.kind === "session" && visitor.page !== undefined;
  if (connections.length === 0) return html`<div class="card"><p>There is nothing to connect here.</p></div>`;
  return html`<p>Applications behind this site can use these accounts for you.</p>
<ul>
${connections.map((connection) => html`<li>${item(connection, titleOf(connection.upstream))}<div class="actions">${actions(connection)}</div></li>\n`)}</ul>`;

  function actions({ upstream, state, canConnect }: Connection): Html[] {
    const label = state === "none" ? "Connect" : "Connect again";
    // Who is logged in on the page may have changed in another tab: its links say for whom they were made.
    const token = isPage ? browser.linkToken(session, upstream) : undefined;
    const connect = html`<a class="button${state === "none" || hintsAt(state) ? " primary" : ""}" href="${links.connect(upstream, { token })}" aria-label="${label}: ${titleOf(upstream)}">${label}</a>`;
    const disconnect = html`<form method="post" action="${links.disconnect(upstream, browser.formToken(session, upstream))}"><button class="button" aria-label="Disconnect: ${titleOf(upstream)}">Disconnect</button></form>`;
    return [...(canConnect ? [connect] : []), ...(state === "none" ? [] : [disconnect])];
  }
}

function hintsAt(state: Connection["state"]): boolean {
  return state === "needs_login" || state === "needs_secret";
}

function item({ state, since, account, usedAt }: Connection, title: string): Html {
  const { words, look, hint } = states[state];
  const as = account === undefined ? "" : html` as <bdi>${foreignText(account, 100)}</bdi>`;
  const used = usedAt === undefined ? "" : html`, last used ${time(usedAt)}`;
  const connected = since === undefined ? "" : html` since ${time(since)}${as}${used}`;
  return html`<h2>${title}</h2>
<p><span class="state ${look}">${words}</span>${state === "connected" ? connected : ""}</p>
${hint === undefined ? "" : html`<p>${hint}</p><p class="soft">Connected${connected}</p>`}`;
}

const dateFormat = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeStyle: "short", timeZone: "UTC" });

function time(wallMs: number): Html {
  return html`<time datetime="${new Date(wallMs).toISOString()}">${dateFormat.format(wallMs)} UTC</time>`;
}
