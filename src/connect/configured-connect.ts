import { createDecoder } from "../check/request.ts";
import type { Routes } from "../check/routes.ts";
import type { FetchFor } from "../platform/fetch-for.ts";
import type { Keep } from "../platform/kept-parts.ts";
import type { OwnCookies } from "../sessions/credential.ts";
import type { SourceConfig } from "../sessions/source-config.ts";
import { wantedBy } from "../sessions/sources.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import { browserCookie } from "./browser.ts";
import type { ConnectConfig } from "./config.ts";
import { type Connect, connectHeaders, createConnect } from "./connect.ts";
import type { ConnectContext } from "./context.ts";
import { loginCookiePrefix } from "./login-cookies.ts";
import { createLoginSources } from "./login-sources.ts";
import { pageCookie } from "./page-sessions.ts";

/** The cookies that the pages set, where there are pages: like session credentials they must not reach an upstream. */
export function cookiesOfPages(config: ConnectConfig | undefined): OwnCookies {
  return config === undefined ? {} : { names: [browserCookie, pageCookie], prefixes: [loginCookiePrefix] };
}

type Session = "sessions" | "names" | "ownSessions" | "pageSessions";
type Shared = Pick<
  ConnectContext,
  Session | "providers" | "tokens" | "store" | "secrets" | "clock" | "random" | "log" | "metrics"
>;

/** What the pages say of an upstream; `mcp`: an MCP server, for which our client's document names a redirect URI. */
interface Shown {
  readonly displayName?: string | undefined;
  readonly mcp: string | undefined;
  /** Stated where its tokens are minted; `identity`: for the logins at that upstream. */
  readonly minted?: { readonly kind: string; readonly identity?: string | undefined } | undefined;
  /** Sent with each refresh. */
  readonly parameters: readonly (readonly [name: string, value: string])[];
}

interface ConfiguredConnectDeps extends Shared {
  readonly config: {
    readonly connect?: ConnectConfig | undefined;
    readonly sessions: readonly SourceConfig[];
    readonly upstreams: Readonly<Record<string, Shown>>;
  };
  readonly routes: Routes;
  readonly flowStores: { readonly flows: FlowStore } | undefined;
  readonly fetchFor: FetchFor;
  readonly keep: Keep;
}

/** Connecting accounts; undefined where the configuration has no section `connect`. */
export function configuredConnect({
  config: { connect: config, sessions: sources, upstreams },
  flowStores,
  fetchFor,
  keep,
  ...deps
}: ConfiguredConnectDeps): Connect | undefined {
  if (config === undefined || flowStores === undefined) return undefined;
  const { clock } = deps;
  const wanted = wantedBy(sources, cookiesOfPages(config));
  return createConnect({
    ...deps,
    config,
    sources,
    flows: flowStores.flows,
    decode: createDecoder({ ...wanted, headers: [...wanted.headers, ...connectHeaders], body: true }),
    sourcesByName: createLoginSources({ sources, clients: config.login, fetchFor, clock, keep }),
    mcpServers: Object.keys(upstreams).filter((name) => upstreams[name]?.mcp !== undefined),
    titleOf: (upstream) => upstreams[upstream]?.displayName ?? upstream,
    loginOf: (upstream) => upstreams[upstream]?.minted?.identity ?? upstream,
    stepUpScopesOf: config.stepUp && ((upstream) => lasting(config.stepUp?.scopes ?? [], upstreams[upstream])),
  });
}

/** A scope that each refresh would take back is asked of nobody. */
function lasting(scopes: readonly string[], upstream: Shown | undefined): readonly string[] {
  const [, kept] = upstream?.parameters.find(([name]) => name === "scope") ?? [];
  return kept === undefined ? scopes : scopes.filter((scope) => kept.split(" ").includes(scope));
}
