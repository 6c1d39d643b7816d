import type { Random } from "../platform/random.ts";
import type { SourceConfig } from "../sessions/source-config.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import type { ConnectConfig } from "./config.ts";
import { createIssuerSessions, type IssuerSessions } from "./issuer-sessions.ts";
import { pageIssuers } from "./login-sources.ts";
import { createOwnSessions, type OwnSessions } from "./own-sessions.ts";
import { createPageSessions, type PageSessions, pageLifeMs } from "./page-sessions.ts";

/** What is begun in browsers; each is undefined where the configuration has none of it. */
interface BrowserSessions {
  /** Sessions of the `cookie` source. */
  readonly ownSessions: OwnSessions | undefined;
  /** Logins on our pages, for sources whose sessions never come to a browser. */
  readonly pageSessions: PageSessions | undefined;
  /** Whether their issuers still vouch for those logins. */
  readonly issuerSessions: IssuerSessions | undefined;
}

interface BrowserSessionsDeps {
  readonly config: { readonly connect?: ConnectConfig | undefined; readonly sessions: readonly SourceConfig[] };
  readonly flowStores: { readonly flows: FlowStore } | undefined;
  readonly random: Random;
}

export function configuredBrowserSessions({
  config: { connect, sessions: sources },
  flowStores,
  random,
}: BrowserSessionsDeps): BrowserSessions {
  if (flowStores === undefined) return { ownSessions: undefined, pageSessions: undefined, issuerSessions: undefined };
  const parts = { flows: flowStores.flows, random };
  const source = sources.find((each) => each.kind === "cookie");
  const ownSessions = source && createOwnSessions(source, parts);
  const issuers = pageIssuers({ sources, clients: connect?.login ?? {} });
  if (issuers.size === 0) return { ownSessions, pageSessions: undefined, issuerSessions: undefined };
  const issuerSessions = createIssuerSessions({ ...parts, endedLifeMs: pageLifeMs });
  return { ownSessions, pageSessions: createPageSessions({ ...parts, issuers, issuerSessions }), issuerSessions };
}
