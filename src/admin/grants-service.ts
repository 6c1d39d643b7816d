import * as proto from "../gen/bearerswap/grants/v1/grants.ts";
import type { Clock } from "../platform/clock.ts";
import { BearerswapError, messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { Provider } from "../providers/provider.ts";
import { idProblem, sessionOf as storedSession } from "../sessions/session-id.ts";
import type { SourceConfig } from "../sessions/source-config.ts";
import { auditOf, type GrantKey, shortHash } from "../stores/grant.ts";
import type { TokenStore } from "../stores/token-store.ts";
import type { TokenManager } from "../tokens/token-manager.ts";
import { glance, type Views, view } from "./grant-view.ts";
import { grantWrite, type TokenLives } from "./grant-write.ts";
import { revokeAtProvider } from "./provider-revocation.ts";
import { enteredWrite } from "./secret-put.ts";
import { createSubjectGrants, type UserNames } from "./subject-grants.ts";

export interface GrantsServiceDeps {
  readonly store: Pick<TokenStore, "read" | "list">;
  readonly tokens: Pick<TokenManager, "put" | "refreshNow" | "revoke" | "endIf"> & {
    /** Ends what is minted for a session, without a grant. */
    endSession(session: string): Promise<void>;
  };
  /** The configured session sources. */
  readonly sources: readonly SourceConfig[];
  /** By the upstream's name. */
  readonly providers: ReadonlyMap<string, TokenLives & Pick<Provider, "revoke" | "secret">>;
  readonly secrets: Views["secrets"];
  /** All configured upstreams; those whose tokens are minted have no grants. */
  readonly upstreams: Readonly<Record<string, { readonly minted?: { readonly kind: string } | undefined }>>;
  /** Absent where no issuer names sessions or users to us. */
  readonly names: UserNames | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** The grant that was asked about is not there. */
export class NotFoundError extends Error {
  constructor() {
    super("there is no grant for this session and upstream");
  }
}

/** `secret` may be left out. */
type PutRequest = Omit<proto.PutRequest, "secret"> & Partial<Pick<proto.PutRequest, "secret">>;

/** The calls of `bearerswap.grants.v1.Grants`. */
export interface GrantsHandlers {
  put(request: PutRequest): Promise<proto.PutResponse>;
  get(request: proto.GetRequest): Promise<proto.GetResponse>;
  list(request: proto.ListRequest): Promise<proto.ListResponse>;
  refresh(request: proto.RefreshRequest): Promise<proto.RefreshResponse>;
  revoke(request: proto.RevokeRequest): Promise<proto.RevokeResponse>;
  listBySubject(request: proto.ListBySubjectRequest): Promise<proto.ListBySubjectResponse>;
  revokeBySubject(request: proto.RevokeBySubjectRequest): Promise<proto.RevokeBySubjectResponse>;
}

/** What each call does; a {@link BearerswapError} `input` is the caller's mistake. No response holds a token. */
export function createGrantsHandlers({
  store,
  tokens,
  sources,
  providers,
  secrets,
  upstreams,
  names,
  clock,
  random,
  log,
}: GrantsServiceDeps): GrantsHandlers {
  const views = { store, secrets };
  return {
    ...createSubjectGrants({ store, secrets, tokens, sources, providers, names, log }),

    async put({ session, upstream, subject, token, secret }) {
      const key = keyOf(session, upstream);
      const source = sourceOf(session);
      if (subject === "" && "subject" in source && source.subject !== undefined)
        throw new BearerswapError(
          "input",
          `source "${source.name}" binds its sessions to a subject, and nobody could use a grant without one: name its owner (--subject)`,
        );
      checkId(session);
      const lives = providers.get(upstream) ?? { refreshTokenLifeMs: 0 };
      if (secret === undefined && "secret" in lives && lives.secret !== undefined)
        throw new BearerswapError("input", `upstream "${upstream}" has secrets in place of logins: put one (--secret)`);
      const write =
        secret === undefined
          ? grantWrite(token, subject, lives, { clock, random })
          : await enteredWrite(secret, { upstream, subject }, lives, { clock, random });
      const named = async () =>
        subject === "" ? undefined : names?.granted(source.name, key.session, subject, write.life.ms);
      await named();
      await tokens.put(key, write);
      await named().catch((error: unknown) =>
        log.warn(
          { event: "session_not_indexed", session: shortHash(key.session), reason: messageOf(error) },
          "a grant is stored, and perhaps not under its user's name: it may be missing from the list of the user's grants until its session is seen again",
        ),
      );
      const audit = auditOf(key, "admin", subject);
      log.info({ event: "grant_put", ...audit, secret: write.grant.isSecret }, "grant stored");
      return { grant: await view(key, views) };
    },

    async get({ session, upstream }) {
      const grant = await view(keyOf(session, upstream), views);
      if (grant !== undefined) return { grant };
      checkId(session);
      throw new NotFoundError();
    },

    async list({ session }) {
      const hash = sessionOf(session);
      const names = [...(await store.list(hash, [...providers.keys()]))].sort();
      if (names.length === 0) checkId(session);
      const grants = await Promise.all(names.map((upstream) => glance({ session: hash, upstream }, views)));
      return { grants: grants.filter((grant) => grant !== undefined) };
    },

    async refresh({ session, upstream }) {
      const key = keyOf(session, upstream);
      if (providers.get(upstream)?.secret !== undefined)
        throw new BearerswapError("input", `upstream "${upstream}" has secrets, and nothing refreshes those`);
      const answer = await tokens.refreshNow(key);
      if (answer.kind === "missing") {
        checkId(session);
        throw new NotFoundError();
      }
      const { why = "", retryAfterMs = undefined } =
        answer.kind === "unavailable" ? answer : answer.kind === "refused" ? { why: answer.why } : {};
      log.info(
        { event: "grant_refresh", upstream, session: shortHash(key.session), outcome: answer.kind },
        "an operator asked for a refresh",
      );
      return {
        outcome: outcomes[answer.kind],
        why,
        retryAfterMs: retryAfterMs && Math.ceil(retryAfterMs),
        grant: await view(key, views),
      };
    },

    async revoke({ session, upstream, keepUpstream }) {
      const hash = sessionOf(session);
      if (upstream === "") await tokens.endSession(hash);
      const names =
        upstream === "" ? await store.list(hash, [...providers.keys()]) : [keyOf(session, upstream).upstream];
      const ended = await Promise.all(
        [...names].sort().map((name) => end({ session: hash, upstream: name }, keepUpstream)),
      );
      const revoked = ended.filter(({ wasThere }) => wasThere).map(({ name }) => name);
      const unconfirmed = ended.flatMap(({ name, why }) => (why === undefined ? [] : [{ upstream: name, why }]));
      if (revoked.length === 0) checkId(session);
      return { upstreams: revoked, unconfirmed };
    },
  };

  async function end(key: GrantKey, keepUpstream: boolean) {
    const why = keepUpstream ? undefined : await revokeAtProvider(key, { store, providers, log });
    const wasThere = await tokens.revoke(key);
    if (wasThere) log.info({ event: "grant_revoked", ...auditOf(key, "admin") }, "grant revoked");
    return { name: key.upstream, wasThere, why };
  }

  function keyOf(session: proto.SessionKey | undefined, upstream: string): GrantKey {
    const { kind } = upstreams[upstream]?.minted ?? {};
    if (kind !== undefined)
      throw new BearerswapError(
        "input",
        `upstream "${upstream}" has no grants: its tokens come by ${kind}, without a login`,
      );
    if (!providers.has(upstream))
      throw new BearerswapError(
        "input",
        `no upstream is named "${upstream}"; configured: ${[...providers.keys()].join(", ")}`,
      );
    return { session: sessionOf(session), upstream };
  }

  function sourceOf(session: proto.SessionKey | undefined): SourceConfig {
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
   * Refuses an id that no request can have. It is asked only where nothing was found for the id: a grant that an
   * earlier version stored under such an id can still be shown and revoked.
   */
  function checkId(session: proto.SessionKey | undefined): void {
    const problem = idProblem(sourceOf(session), session?.id ?? "");
    if (problem !== undefined) throw new BearerswapError("input", `no request can have this id: ${problem}`);
  }

  function sessionOf(session: proto.SessionKey | undefined): string {
    const source = sourceOf(session);
    if (session === undefined || session.id === "") throw new BearerswapError("input", "the session id is empty");
    // ToolHive's keys hold the id itself: another one might lead to what is no grant.
    if (source.isOfToolhive) checkId(session);
    return storedSession(source, session.id);
  }
}

const outcomes = {
  refreshed: proto.RefreshOutcome.REFRESHED,
  refused: proto.RefreshOutcome.REFUSED,
  unavailable: proto.RefreshOutcome.UNAVAILABLE,
} as const;
