import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { Provider } from "../providers/provider.ts";
import type { SessionSource } from "../sessions/session.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import type { TokenStore } from "../stores/token-store.ts";
import type { Secrets } from "../tokens/secrets.ts";
import type { TokenManager } from "../tokens/token-manager.ts";
import type { AskedScopes } from "./asked-scopes.ts";
import type { Asks, Tickets } from "./invitations.ts";
import type { Links } from "./links.ts";
import type { LoginSource } from "./login-sources.ts";
import type { Messages } from "./messages.ts";
import type { LoginMetrics, StepUpMetrics } from "./metrics.ts";
import type { OwnSessions } from "./own-sessions.ts";
import type { PageSessions } from "./page-sessions.ts";
import type { States } from "./states.ts";

/** Lets grants be found by the names that issuers have for users. */
interface GrantNames {
  /** A grant of that subject is about to be stored, or was. */
  granted(source: string, session: string, subject: string, lifeMs: number): Promise<void>;
}

/** What all parts of connecting an account work with. */
export interface ConnectContext {
  readonly sessions: SessionSource;
  /** Absent where no issuer names sessions or users to us. */
  readonly names: GrantNames | undefined;
  /** Absent where no source has sessions of our own. */
  readonly ownSessions: OwnSessions | undefined;
  /** Absent where nobody can log in on our pages. */
  readonly pageSessions: PageSessions | undefined;
  /** By the source's name. */
  readonly sourcesByName: ReadonlyMap<string, LoginSource>;
  readonly providers: ReadonlyMap<string, Provider>;
  /** What users read of an upstream: its `displayName`, else its name. */
  readonly titleOf: (upstream: string) => string;
  /** The upstream at which users log in for an upstream: mostly that one itself. */
  readonly loginOf: (upstream: string) => string;
  readonly tokens: Pick<TokenManager, "beginLogin" | "endIf">;
  readonly store: Pick<TokenStore, "read" | "ping">;
  readonly secrets: Pick<Secrets, "lastUsedAt">;
  readonly flows: FlowStore;
  readonly states: States;
  readonly tickets: Tickets;
  readonly asks: Asks;
  readonly askedScopes: AskedScopes;
  readonly links: Links;
  readonly messages: Messages;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Pick<LoginMetrics, "login"> & StepUpMetrics;
}
