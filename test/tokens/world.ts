import type { Clock } from "../../src/platform/clock.ts";
import { deadlineIn } from "../../src/platform/deadline.ts";
import { createLog } from "../../src/platform/log.ts";
import { type Random, systemRandom } from "../../src/platform/random.ts";
import { Secret } from "../../src/platform/secret.ts";
import type { OAuthProviderConfig } from "../../src/providers/oauth-provider.ts";
import type { Provider } from "../../src/providers/provider.ts";
import { type GrantKey, hashSession } from "../../src/stores/grant.ts";
import { createMemoryStore } from "../../src/stores/memory-store.ts";
import type { TokenStore } from "../../src/stores/token-store.ts";
import type { Owner } from "../../src/tokens/owner.ts";
import {
  createTokenManager,
  type TokenAnswer,
  type TokenManager,
  type TokenManagerConfig,
} from "../../src/tokens/token-manager.ts";
import { providerOf } from "../providers/presentation.ts";
import { type ManualClock, manualClock } from "../support/manual-clock.ts";
import type { Resources } from "../support/resources.ts";
import type { RotatingTokensOptions, TokenAnswer as TokenResponse } from "../support/rotating-tokens.ts";
import { startTokenEndpoint, type TokenEndpoint } from "../support/token-endpoint.ts";
import { type FaultyStore, faultyStore } from "./faulty-store.ts";
import { managerConfig } from "./manager-config.ts";
import { type RecordedMetrics, recordedMetrics } from "./recorded-metrics.ts";

/** Who asks: a session, and the subject its source states, if it states one. */
export interface Asker {
  readonly session?: string;
  readonly owner?: Owner["owner"];
  readonly waitMs?: number;
}

/** A token manager at a real token endpoint, with a real store and a clock that stands still. */
export interface World<C extends Clock = ManualClock> {
  readonly endpoint: TokenEndpoint;
  readonly store: FaultyStore;
  readonly clock: C;
  readonly tokens: TokenManager;
  /** What this process counted. */
  readonly metrics: RecordedMetrics;
  /** How many answers of the provider, failures included, have come to this process. */
  answered(): number;
  /** Everything logged, at level trace. */
  log(): string;
  /** The log lines with this `event`. */
  events(event: string): readonly Record<string, unknown>[];
  /**
   * Another process with the same configuration, over the same store by a way of its own: faults of one are not the
   * other's.
   */
  replica(options?: {
    /** The only upstream it knows; default crm. */ readonly upstream?: string /** Its own connection. */;
    readonly store?: TokenStore;
    /** What it is told otherwise about the provider. */
    readonly provider?: Partial<OAuthProviderConfig>;
    readonly config?: Partial<TokenManagerConfig>;
  }): World<C>;
  /** Puts a login made at the provider, its access token expiring as the provider says; `write` overrides the grant. */
  login(
    session?: string,
    write?: {
      readonly subject?: string | undefined;
      readonly remainingMs?: number;
      readonly refreshToken?: Secret | undefined;
    },
  ): Promise<TokenResponse>;
  /** The answer in words: the access token, or why there is none. */
  fresh(asker?: Asker): Promise<string>;
  /** The answer itself. */
  answer(asker?: Asker): Promise<TokenAnswer>;
  cached(asker?: Asker): string | undefined;
  /** The refresh token that the store holds. */
  storedRefreshToken(session?: string): Promise<string | undefined>;
  key(session?: string): GrantKey;
}

export interface WorldOptions<C extends Clock = ManualClock> {
  readonly endpoint?: RotatingTokensOptions;
  readonly config?: Partial<TokenManagerConfig>;
  readonly provider?: Partial<OAuthProviderConfig>;
  readonly clock?: C;
  readonly store?: TokenStore;
  /** Default: as the store sends them. */
  readonly heartbeats?: "real" | "by hand";
  readonly random?: Partial<Random>;
  readonly upstream?: string | undefined;
}

/** A wait that no test reaches unless it moves the clock that far. */
const patientMs = 1_000_000;
const month = 30 * 86_400_000;

export async function startWorld<C extends Clock = ManualClock>(
  { use }: Resources,
  options: WorldOptions<C> = {},
): Promise<World<C>> {
  const clock = options.clock ?? (manualClock() as Clock as C);
  const endpoint = await use(startTokenEndpoint({ now: clock.monotonicMs, ...options.endpoint }));
  return worldAt(endpoint, options.store ?? createMemoryStore({ clock, maxGrants: 1_000 }), clock, options);
}

function worldAt<C extends Clock>(
  endpoint: TokenEndpoint,
  shared: TokenStore,
  clock: C,
  options: WorldOptions<C>,
): World<C> {
  const store = faultyStore(shared, options);
  const metrics = recordedMetrics();
  const lines: string[] = [];
  const log = createLog({ level: "trace", format: "json" }, { write: (line: string) => void lines.push(line) });
  const random = { ...systemRandom(), fraction: () => 0, ...options.random };
  const provider = providerOf(
    { tokenEndpoint: endpoint.url, revocationEndpoint: endpoint.revocationUrl, ...options.provider },
    { clock },
  );
  let answered = 0;
  const refresh: Provider["refresh"] = (request) => provider.refresh(request).finally(() => answered++);
  const providers = new Map([[options.upstream ?? "crm", { ...provider, refresh }]]);
  const config = { ...managerConfig, ...options.config };
  const tokens = createTokenManager({ store, providers, clock, random, log, metrics, config });
  const key = (session = "alice") => ({ session: hashSession("test", session), upstream: "crm" });
  const owner = ({ session, owner }: Asker): Owner => ({ session: key(session).session, owner });
  const answer = ({ waitMs = patientMs, ...asker }: Asker = {}) =>
    tokens.fresh(owner(asker), "crm", deadlineIn(clock, waitMs));

  return {
    endpoint,
    store,
    clock,
    tokens,
    metrics,
    answered: () => answered,
    key,
    log: () => lines.join(""),
    events: (event) =>
      lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter((line) => line.event === event),
    replica: ({ upstream, store = shared, provider, config } = {}) =>
      worldAt(endpoint, store, clock, {
        ...options,
        upstream,
        provider: { ...options.provider, ...provider },
        config: { ...options.config, ...config },
      }),
    async login(session, write = {}) {
      const login = endpoint.tokens.login();
      const { subject, remainingMs = login.expires_in && login.expires_in * 1_000 } = write;
      const refreshToken = "refreshToken" in write ? write.refreshToken : new Secret(login.refresh_token);
      const grant = {
        refreshToken,
        subject,
        scope: login.scope,
        createdAt: clock.wallMs(),
        refreshedAt: clock.wallMs(),
      };
      const access = { token: new Secret(login.access_token), remainingMs, lifeMs: remainingMs };
      await tokens.put(key(session), { version: random.id(), grant, access, life: { ms: month, stated: false } });
      return login;
    },
    fresh: async (asker) => inWords(await answer(asker)),
    answer,
    cached: (asker = {}) => tokens.cached(owner(asker), "crm")?.token.reveal(),
    async storedRefreshToken(session) {
      const read = await store.read(key(session));
      return read.kind === "found" ? read.row.grant.refreshToken?.reveal() : read.kind;
    },
  };
}

/** `access-2`, or the kind of answer with its reason. */
export function inWords(answer: TokenAnswer): string {
  switch (answer.kind) {
    case "fresh":
      return answer.token.token.reveal();
    case "refused":
    case "unavailable":
      return `${answer.kind}: ${answer.why}`;
    default:
      return answer.kind;
  }
}
