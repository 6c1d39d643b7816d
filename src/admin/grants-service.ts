import { createHash, timingSafeEqual } from "node:crypto";
import { type handleUnaryCall, type Metadata, Server, status } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import * as proto from "../gen/bearerswap/grants/v1/grants.ts";
import type { Address } from "../platform/address.ts";
import type { Clock } from "../platform/clock.ts";
import { BearerswapError, messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { Secret } from "../platform/secret.ts";
import type { Provider } from "../providers/provider.ts";
import { listenGrpc, namedClientsOnly } from "../server/listen.ts";
import type { ListenConfig } from "../server/listen-config.ts";
import { createOpenCalls } from "../server/open-calls.ts";
import { addReflection } from "../server/reflection.ts";
import { type IdSource, idProblem } from "../sessions/session-id.ts";
import { type GrantKey, hashSession, shortHash } from "../stores/grant.ts";
import type { ReadResult, TokenStore } from "../stores/token-store.ts";
import type { TokenManager } from "../tokens/token-manager.ts";
import { grantWrite, type TokenLives } from "./grant-write.ts";
import type { AdminMetrics } from "./metrics.ts";
import { revokeAtProvider } from "./provider-revocation.ts";

export interface GrantsServiceDeps {
  readonly store: Pick<TokenStore, "read" | "list">;
  readonly tokens: Pick<TokenManager, "put" | "refreshNow" | "revoke">;
  /** The configured session sources. */
  readonly sources: readonly (IdSource & { readonly name: string })[];
  /** The names of those whose sessions may only use grants of their own subject. */
  readonly boundSources: ReadonlySet<string>;
  /** The providers of the configured upstreams. */
  readonly upstreams: ReadonlyMap<string, TokenLives & Pick<Provider, "revoke">>;
  /** Told of a grant with a subject before it is stored. */
  readonly onPut?: ((source: string, session: string, subject: string, lifeMs: number) => Promise<void>) | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: AdminMetrics;
}

/** The gRPC server of the admin API. */
export interface AdminServer {
  listen(): Promise<Address>;
  /** Takes no new calls and resolves when those under way are answered, at the latest after `timeoutMs`. */
  drain(timeoutMs: number): Promise<void>;
}

const socketMode = 0o600;

/** The admin server: `bearerswap.grants.v1.Grants`, where `listen.admin` says. */
export function createAdminServer(
  deps: GrantsServiceDeps,
  config: ListenConfig & { readonly admin: Address },
): AdminServer {
  const calls = createOpenCalls();
  const server = new Server({ interceptors: [calls.interceptor, ...namedClientsOnly(config.adminTls)] });
  server.addService(proto.GrantsService, guarded(createGrantsHandlers(deps), config.adminToken, deps));
  new HealthImplementation({ "": "SERVING" }).addToServer(server);
  addReflection(server, ["bearerswap/grants/v1/grants.proto"]);
  return {
    listen: () => listenGrpc(server, config.admin, config.adminTls, socketMode),
    drain: (timeoutMs) => calls.drain(server, timeoutMs),
  };
}

interface Handlers {
  put(request: proto.PutRequest): Promise<proto.PutResponse>;
  get(request: proto.GetRequest): Promise<proto.GetResponse>;
  list(request: proto.ListRequest): Promise<proto.ListResponse>;
  refresh(request: proto.RefreshRequest): Promise<proto.RefreshResponse>;
  revoke(request: proto.RevokeRequest): Promise<proto.RevokeResponse>;
}

/** What each call does; a {@link BearerswapError} `input` is the caller's mistake. No response holds a token. */
export function createGrantsHandlers({
  store,
  tokens,
  sources,
  boundSources,
  upstreams,
  onPut,
  clock,
  random,
  log,
}: Omit<GrantsServiceDeps, "metrics">): Handlers {
  return {
    async put({ session, upstream, subject, token }) {
      const key = keyOf(session, upstream);
      const source = sourceOf(session);
      if (subject === "" && boundSources.has(source.name))
        throw new BearerswapError(
          "input",
          `source "${source.name}" binds its sessions to a subject, and nobody could use a grant without one: name its owner (--subject)`,
        );
      checkId(session);
      const lives = upstreams.get(upstream) ?? { refreshTokenLifeMs: 0 };
      const write = grantWrite(token, subject, lives, { clock, random });
      if (subject !== "") await onPut?.(source.name, key.session, subject, write.life.ms);
      await tokens.put(key, write);
      log.info({ event: "grant_put", upstream, session: shortHash(key.session) }, "grant stored");
      return { grant: view(upstream, await store.read(key)) };
    },

    async get({ session, upstream }) {
      const grant = view(upstream, await store.read(keyOf(session, upstream)));
      if (grant === undefined) checkId(session);
      return { grant };
    },

    async list({ session }) {
      const hash = sessionOf(session);
      const names = [...(await store.list(hash, [...upstreams.keys()]))].sort();
      if (names.length === 0) checkId(session);
      const grants = await Promise.all(names.map((upstream) => glance({ session: hash, upstream })));
      return { grants: grants.filter((grant) => grant !== undefined) };
    },

    async refresh({ session, upstream }) {
      const key = keyOf(session, upstream);
      const answer = await tokens.refreshNow(key);
      if (answer.kind === "missing") {
        checkId(session);
        throw new NotFoundError(noGrant);
      }
      const { why = "", retryAfterMs = undefined } =
        answer.kind === "unavailable" ? answer : answer.kind === "refused" ? { why: answer.why } : {};
      log.info(
        { event: "grant_refresh", upstream, session: shortHash(key.session), outcome: answer.kind },
        "a refresh was asked for",
      );
      return {
        outcome: outcomes[answer.kind],
        why,
        retryAfterMs: retryAfterMs && Math.ceil(retryAfterMs),
        grant: view(upstream, await store.read(key)),
      };
    },

    async revoke({ session, upstream, keepUpstream }) {
      const hash = sessionOf(session);
      const names =
        upstream === "" ? await store.list(hash, [...upstreams.keys()]) : [keyOf(session, upstream).upstream];
      const ended = await Promise.all(
        [...names].sort().map((name) => end({ session: hash, upstream: name }, keepUpstream)),
      );
      const revoked = ended.filter(({ wasThere }) => wasThere).map(({ name }) => name);
      const unconfirmed = ended.flatMap(({ name, why }) => (why === undefined ? [] : [{ upstream: name, why }]));
      log.info({ event: "grant_revoked", upstream: revoked.join(","), session: shortHash(hash) }, "grants revoked");
      if (revoked.length === 0) checkId(session);
      return { upstreams: revoked, unconfirmed };
    },
  };

  /** A grant that cannot be read hides none of the others. */
  async function glance(key: GrantKey): Promise<proto.Grant | undefined> {
    try {
      return view(key.upstream, await store.read(key));
    } catch (error) {
      if (!(error instanceof BearerswapError) || !unreadable.has(error.code)) throw error;
      return proto.Grant.create({ upstream: key.upstream, state: proto.GrantState.UNREADABLE, why: error.message });
    }
  }

  /** At the provider first: once the tombstone is written, nobody knows the tokens. */
  async function end(key: GrantKey, keepUpstream: boolean) {
    const why = keepUpstream ? undefined : await revokeAtProvider(key, { store, upstreams });
    if (why !== undefined)
      log.warn(
        { event: "revocation", upstream: key.upstream, session: shortHash(key.session), reason: why },
        "the provider did not confirm that the tokens are ended",
      );
    return { name: key.upstream, wasThere: await tokens.revoke(key), why };
  }

  function keyOf(session: proto.SessionKey | undefined, upstream: string): GrantKey {
    if (!upstreams.has(upstream))
      throw new BearerswapError(
        "input",
        `no upstream is named "${upstream}"; configured: ${[...upstreams.keys()].join(", ")}`,
      );
    return { session: sessionOf(session), upstream };
  }

  function sourceOf(session: proto.SessionKey | undefined): IdSource & { readonly name: string } {
    const [only, ...others] = sources;
    const names = sources.map(({ name }) => name);
    const name = session?.source || (others.length === 0 ? only?.name : undefined);
    if (name === undefined)
      throw new BearerswapError("input", `say which source the session belongs to; configured: ${names.join(", ")}`);
    const source = sources.find((each) => each.name === name);
    if (source === undefined)
      throw new BearerswapError("input", `no session source is named "${name}"; configured: ${names.join(", ")}`);
    return source;
  }

  /**
   * Where nothing is found, the id may be why. What an id of former rules has left behind is shown and revoked all the
   * same.
   */
  function checkId(session: proto.SessionKey | undefined): void {
    const problem = idProblem(sourceOf(session), session?.id ?? "");
    if (problem !== undefined) throw new BearerswapError("input", `no request can have this id: ${problem}`);
  }

  function sessionOf(session: proto.SessionKey | undefined): string {
    const { name } = sourceOf(session);
    if (session === undefined || session.id === "") throw new BearerswapError("input", "the session id is empty");
    return hashSession(name, session.id);
  }
}

const outcomes = {
  refreshed: proto.RefreshOutcome.REFRESHED,
  refused: proto.RefreshOutcome.REFUSED,
  unavailable: proto.RefreshOutcome.UNAVAILABLE,
} as const;

/** Errors that are about one row. */
const unreadable: ReadonlySet<string> = new Set(["store_sealed", "store_corrupt"]);

/** What a grant looks like from outside; undefined where nothing is stored. */
function view(upstream: string, read: ReadResult): proto.Grant | undefined {
  if (read.kind === "absent") return undefined;
  if (read.kind === "revoked")
    return proto.Grant.create({ upstream, version: read.version, state: proto.GrantState.REVOKED });
  const { version, state, why, grant, access, life, failingMs } = read.row;
  return {
    upstream,
    version,
    state: state === "dead" ? proto.GrantState.DEAD : proto.GrantState.ACTIVE,
    why: why ?? "",
    subject: grant.subject ?? "",
    scope: grant.scope ?? "",
    hasRefreshToken: grant.refreshToken !== undefined,
    hasAccessToken: access !== undefined,
    accessTokenExpiresInMs: access?.remainingMs === undefined ? undefined : Math.floor(access.remainingMs),
    expiresInMs: Math.floor(life.ms),
    failingForMs: failingMs === undefined ? undefined : Math.floor(failingMs),
  };
}

/** The handlers as gRPC calls: only with the admin token where one is configured, errors as statuses. */
function guarded(
  handlers: Handlers,
  token: Secret | undefined,
  { log, metrics }: Pick<GrantsServiceDeps, "log" | "metrics">,
): proto.GrantsServer {
  const unary =
    <Request, Response>(
      method: string,
      run: (request: Request) => Promise<Response>,
    ): handleUnaryCall<Request, Response> =>
    (call, callback) => {
      const work = mayAdminister(call.metadata, token) ? run(call.request) : Promise.reject(new DeniedError());
      work.then(
        (response) => {
          metrics.called(method, "OK");
          callback(null, response);
        },
        (error: unknown) => {
          const failure = statusOf(error, log);
          metrics.called(method, status[failure.code]);
          callback(failure);
        },
      );
    };
  return {
    put: unary("put", handlers.put),
    get: unary("get", async (request: proto.GetRequest) => found(await handlers.get(request))),
    list: unary("list", handlers.list),
    refresh: unary("refresh", handlers.refresh),
    revoke: unary("revoke", handlers.revoke),
  };
}

class DeniedError extends Error {}
class NotFoundError extends Error {}
const noGrant = "there is no grant for this session and upstream";

function found(response: proto.GetResponse): proto.GetResponse {
  if (response.grant === undefined) throw new NotFoundError(noGrant);
  return response;
}

function mayAdminister(metadata: Metadata, token: Secret | undefined): boolean {
  if (token === undefined) return true;
  const given = String(metadata.get("authorization")[0] ?? "");
  // White space at its end, as editors leave in files, gets into no header.
  return timingSafeEqual(digest(given), digest(`Bearer ${token.reveal().trim()}`));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function statusOf(error: unknown, log: Log): { code: status; details: string } {
  if (error instanceof DeniedError)
    return { code: status.UNAUTHENTICATED, details: "the admin token is missing or wrong" };
  if (error instanceof NotFoundError) return { code: status.NOT_FOUND, details: error.message };
  const code = error instanceof BearerswapError ? error.code : undefined;
  if (code === "input") return { code: status.INVALID_ARGUMENT, details: messageOf(error) };
  log.error({ event: "admin_failed", reason: messageOf(error) }, "an admin call failed");
  if (code === "store_full") return { code: status.RESOURCE_EXHAUSTED, details: messageOf(error) };
  if (code === "store_unavailable") return { code: status.UNAVAILABLE, details: messageOf(error) };
  if (code === "store_sealed") return { code: status.FAILED_PRECONDITION, details: messageOf(error) };
  return { code: code === "store_corrupt" ? status.DATA_LOSS : status.INTERNAL, details: messageOf(error) };
}
