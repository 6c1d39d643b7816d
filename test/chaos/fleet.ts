import { randomBytes } from "node:crypto";
import { expect } from "vitest";
import { createGrantsClient, type GrantsClient } from "../../src/admin/grants-client.ts";
import { hashSession } from "../../src/stores/grant.ts";
import { type Serve, startServe, temporaryDirectory } from "../commands/cli-process.ts";
import { createExtAuthzClient, type ExtAuthzClient } from "../support/ext-authz-client.ts";
import { type OidcServer, startOidcServer } from "../support/oidc-server.ts";
import type { RedisServer } from "../support/redis-server.ts";
import type { Resources } from "../support/resources.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { type Passage, startTokenGate, type TokenGate } from "../support/token-gate.ts";
import { until } from "../support/until.ts";

/** One `bearerswap serve`, as a process. */
export interface Replica {
  readonly name: string;
  readonly serve: Serve;
  readonly client: ExtAuthzClient;
  readonly admin: GrantsClient;
  /** Its way to Redis; absent where it goes there directly. */
  readonly line?: TcpProxy | undefined;
  /** The lines of its log with this `event`. */
  events(event: string): readonly Record<string, unknown>[];
  /** The status of its /readyz. */
  readyz(): Promise<number>;
}

/** Replicas over one store and one provider, which takes a refresh token once and ends the whole grant at its reuse. */
export interface Fleet {
  readonly replicas: readonly Replica[];
  readonly provider: OidcServer;
  readonly gate: TokenGate;
  /** Logs a user in and stores that for the session; by way of the last replica that runs, unless told otherwise. */
  login(session: string, options?: { readonly by?: Replica; readonly expiresIn?: number }): Promise<void>;
  replica(name: string): Replica;
  /**
   * Waits until all tokens that the provider has issued for refreshes are stored, but for those of so many that were
   * lost; default 0.
   */
  quiet(lost?: number): Promise<void>;
  /** Lets the refreshes under way end, keeps those that follow before the provider, and gives the first of them. */
  holdRefresh(): Promise<Passage>;
  /**
   * Fails unless each refresh token was redeemed once and what came of it stored; but `lost` ones, whose tokens nobody
   * stored, and which were presented a second time, and `refused` of those. Ends the refreshing: the gate stays closed.
   */
  expectRedemptions(expected?: { readonly lost?: number; readonly refused?: number }): Promise<void>;
}

export interface FleetOptions {
  /** What `store` is in the configuration; or a server, which each replica then reaches over a line of its own. */
  readonly store: { readonly config: object } | { readonly server: Pick<RedisServer, "host" | "port"> };
  /** Default 5. */
  readonly accessTokenLifeSeconds?: number;
  readonly config?: object;
  readonly upstream?: object;
  /** Default 3. */
  readonly count?: number;
  /** More environment of a replica. */
  readonly env?: (at: number) => Readonly<Record<string, string>>;
  /** How long the provider takes a used refresh token again; default 0. */
  readonly reuseGraceMs?: number;
}

/** Redis answers within this or not at all, ms. */
export const commandTimeoutMs = 500;

export async function startFleet(resources: Resources, options: FleetOptions): Promise<Fleet> {
  const { accessTokenLifeSeconds = 5, reuseGraceMs = 0, count = 3 } = options;
  const provider = await resources.use(startOidcServer({ accessTokenLifeSeconds, reuseGraceMs }));
  const gate = await resources.use(startTokenGate(provider.tokenEndpoint));
  const names = Array.from({ length: count }, (_, at) => `replica-${at + 1}`);
  const replicas = await Promise.all(
    names.map((name, at) => startReplica(resources, { name, at, provider, gate, options })),
  );
  const stored = () => replicas.reduce((sum, replica) => sum + storedBy(replica), 0);
  const quiet: Fleet["quiet"] = async (lost = 0) => {
    await until("every refresh to be stored", () => gate.underWay === 0 && stored() === redeemed(provider) - lost, {
      timeoutMs: 30_000,
    });
  };

  return {
    replicas,
    provider,
    gate,
    async login(session, { by = replicas.findLast(({ serve }) => serve.child.running) as Replica, expiresIn } = {}) {
      const tokens = await provider.login({ account: session });
      await by.admin.put({
        session: { source: "", id: session },
        upstream: "crm",
        subject: "",
        token: {
          accessToken: tokens.access_token,
          refreshToken: tokens.refresh_token,
          tokenType: "Bearer",
          scope: "",
          expiresIn: expiresIn ?? tokens.expires_in,
        },
      });
    },
    replica: (name) => replicas.find((replica) => replica.name === name) as Replica,
    quiet,
    async holdRefresh() {
      gate.rule({ kind: "hold" });
      await quiet();
      return gate.held();
    },
    async expectRedemptions({ lost = 0, refused = 0 } = {}) {
      gate.rule({ kind: "hold" });
      await quiet(lost);
      const outcomes = provider.refreshes();
      const presented = gate.calls.filter(({ sentOn }) => sentOn).map(({ token }) => token);
      expect(outcomes.filter(({ error }) => error === "invalid_grant")).toHaveLength(refused);
      expect(
        [redeemed(provider) + refused, outcomes.length],
        "every refresh at the provider came through the gate",
      ).toEqual([outcomes.length, presented.length]);
      // Each token was presented once, but those whose first presentation was lost.
      expect(presented.length - new Set(presented).size).toBe(lost);
    },
  };
}

interface ReplicaOptions {
  readonly name: string;
  readonly at: number;
  readonly provider: OidcServer;
  readonly gate: TokenGate;
  readonly options: FleetOptions;
}

async function startReplica(
  resources: Resources,
  { name, at, provider, gate, options }: ReplicaOptions,
): Promise<Replica> {
  const line = "server" in options.store ? await resources.use(startTcpProxy(options.store.server)) : undefined;
  const store = line === undefined ? (options.store as { config: object }).config : redisStore(line);
  const admin = `${await temporaryDirectory(resources)}/admin.sock`;
  const config = {
    listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin: `unix:${admin}` },
    sessions: [{ opaque: { from: { header: "x-session" } } }],
    store,
    upstreams: {
      crm: {
        tokenEndpoint: gate.url(name),
        clientId: provider.client.id,
        clientSecret: "${env:SECRET}",
        ...options.upstream,
      },
    },
    refresh: { timeout: "2s", holdOff: "2s" },
    check: { deadline: "3s" },
    cache: { maxStaleness: "2s" },
    ...options.config,
  };
  const serve = await startServe(resources, config, { SECRET: provider.client.secret, ...options.env?.(at) });
  return {
    name,
    serve,
    line,
    client: await resources.use(createExtAuthzClient(serve.grpc)),
    admin: await resources.use(createGrantsClient({ address: { kind: "unix", path: admin } })),
    events: (event) => serve.lines().filter((logged) => logged.event === event),
    readyz: async () => (await fetch(`http://${serve.http}/readyz`)).status,
  };
}

/** The `store` of a replica that reaches Redis there. */
export function redisStore({ host, port }: Pick<RedisServer, "host" | "port">): object {
  return { redis: { url: `redis://${host}:${port}`, commandTimeout: `${commandTimeoutMs}ms` } };
}

/**
 * Refreshes whose tokens are in the store. One that finds a predecessor which a failover has brought back is logged as
 * superseded: its tokens are written when that predecessor's own successor is back, which the same replica logs as a
 * write of its own.
 */
function storedBy({ events }: Pick<Replica, "events">): number {
  const refreshes = events("refresh");
  const rewritten = events("recommit");
  const isRewritten = (refresh: (typeof refreshes)[number]) =>
    refresh.outcome === "superseded" &&
    refresh.provider === "tokens" &&
    rewritten.some(({ session, time }) => session === refresh.session && String(time) >= String(refresh.time));
  return refreshes.filter((refresh) => refresh.outcome === "refreshed" || isRewritten(refresh)).length;
}

/** Refreshes for which the provider gave tokens, whether they arrived or not. */
export function redeemed(provider: OidcServer): number {
  return provider.refreshes().filter(({ status }) => status === 200).length;
}

/** A session's id, as random as it has to be. */
export function newSession(): string {
  return randomBytes(24).toString("base64url");
}

/** The Redis key of a session's grant. */
export function rowOf(session: string): string {
  return `bearerswap:{${hashSession("opaque", session)}}:grant:crm`;
}
