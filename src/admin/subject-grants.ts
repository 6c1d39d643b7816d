import PQueue from "p-queue";
import * as proto from "../gen/bearerswap/grants/v1/grants.ts";
import { BearerswapError } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { Provider } from "../providers/provider.ts";
import { isJwtSource, type JwtSource, type SourceConfig } from "../sessions/source-config.ts";
import { auditOf, type GrantKey, isUnreadable, shortHash } from "../stores/grant.ts";
import type { TokenStore } from "../stores/token-store.ts";
import type { TokenManager } from "../tokens/token-manager.ts";
import { glance, type Views } from "./grant-view.ts";
import { revokeAtProvider } from "./provider-revocation.ts";

/** Knows the sessions of users by the names that issuers have for them. */
export interface UserNames {
  /** A grant of that subject is about to be stored, or was. */
  granted(source: string, session: string, subject: string, lifeMs: number): Promise<void>;
  /** The hashes of a user's sessions that may hold grants; of a source with `subject: sub`. */
  ofSubject(source: JwtSource, subject: string): Promise<readonly string[]>;
  /** These sessions hold no grant of that user any more. */
  forget(source: JwtSource, subject: string, sessions: readonly string[]): Promise<void>;
}

interface SubjectGrantsDeps {
  readonly store: Pick<TokenStore, "read" | "list">;
  readonly secrets: Views["secrets"];
  readonly tokens: Pick<TokenManager, "endIf" | "revoke">;
  readonly sources: readonly SourceConfig[];
  /** By the upstream's name. */
  readonly providers: ReadonlyMap<string, Pick<Provider, "revoke">>;
  readonly names: UserNames | undefined;
  readonly log: Log;
}

/** The calls about all grants of a user, for example of one who leaves. */
interface SubjectGrants {
  listBySubject(request: proto.ListBySubjectRequest): Promise<proto.ListBySubjectResponse>;
  revokeBySubject(request: proto.RevokeBySubjectRequest): Promise<proto.RevokeBySubjectResponse>;
}

/** A grant that is the user's, or may be. */
interface Found {
  readonly key: GrantKey;
  /** The session is the user's and nobody else's, also where the grant cannot be read. */
  readonly isTheirSession: boolean;
  readonly place: proto.GrantPlace;
  readonly grant: proto.Grant;
}

/** How many sessions are looked at, and grants ended, at the same time: a user may have thousands of sessions. */
const atOnce = 16;

export function createSubjectGrants({
  store,
  secrets,
  tokens,
  sources,
  providers,
  names,
  log,
}: SubjectGrantsDeps): SubjectGrants {
  return {
    async listBySubject({ owner }) {
      const found = await grantsOf(owner);
      return { grants: found.map(({ place, grant }) => ({ place, grant })) };
    },

    async revokeBySubject({ owner, upstream, keepUpstream }) {
      if (upstream !== "" && !providers.has(upstream)) throw noUpstream(upstream, providers);
      const found = (await grantsOf(owner)).filter(({ place }) => upstream === "" || place.upstream === upstream);
      const ends = await inTurns(found, (each) => end(each, owner?.subject ?? "", keepUpstream));
      const revoked = ends.filter(({ kind }) => kind === "revoked");
      return {
        revoked: revoked.map(({ place }) => place),
        unconfirmed: ends.flatMap(({ kind, place, why }) =>
          kind === "revoked" && why !== undefined ? [{ place, why }] : [],
        ),
        unreadable: ends.flatMap(({ kind, place, why = "" }) => (kind === "unreadable" ? [{ place, why }] : [])),
      };
    },
  };

  async function grantsOf(owner: proto.SubjectKey | undefined): Promise<readonly Found[]> {
    const { issuer = "", subject = "" } = owner ?? {};
    if (subject === "") throw new BearerswapError("input", "the subject is empty");
    const found = await Promise.all(sourcesOf(issuer).map((source) => grantsAt(source, subject)));
    return found.flat();
  }

  /** The user's grants at one source. Sessions that hold none are taken out of the index. */
  async function grantsAt(source: JwtSource, subject: string): Promise<readonly Found[]> {
    const sessions = [...((await names?.ofSubject(source, subject)) ?? [])].sort();
    const held = await inTurns(sessions, (session) => grantsIn(source, session, subject));
    const empty = sessions.filter((_, at) => held[at]?.length === 0);
    return [...held.flat(), ...(await forgotten(source, subject, empty))];
  }

  /**
   * Takes sessions out of the index, and looks once more: a login that was stored since the first look has named its
   * session before it was taken out, and nobody would find its grant.
   */
  async function forgotten(source: JwtSource, subject: string, sessions: readonly string[]): Promise<readonly Found[]> {
    await names?.forget(source, subject, sessions);
    const late = await inTurns(sessions, async (session) => {
      const held = await grantsIn(source, session, subject);
      if (held.length > 0) await names?.granted(source.name, session, subject, 0);
      return held;
    });
    return late.flat();
  }

  async function grantsIn(
    { name: source, claim }: JwtSource,
    session: string,
    subject: string,
  ): Promise<readonly Found[]> {
    const upstreams = [...(await store.list(session, [...providers.keys()]))].sort();
    const found = await Promise.all(
      upstreams.map(async (upstream) => {
        const key = { session, upstream };
        const grant = await glance(key, { store, secrets });
        if (grant === undefined || grant.state === proto.GrantState.REVOKED) return [];
        const isTheirSession = claim === "sub";
        return isOf(grant, subject)
          ? [{ key, isTheirSession, place: { source, session: shortHash(session), upstream }, grant }]
          : [];
      }),
    );
    return found.flat();
  }

  async function end(found: Found, subject: string, keepUpstream: boolean) {
    const { key, place } = found;
    // The session may have got another user's grant since the list was made.
    const isMeant = (grant: { readonly subject?: string | undefined }) =>
      isOf({ subject: grant.subject ?? "" }, subject);
    try {
      const why = keepUpstream ? undefined : await revokeAtProvider(key, { store, providers, log, isMeant });
      if (!(await ended(found, isMeant))) return { kind: "gone", place, why } as const;
      log.info({ event: "grant_revoked", ...auditOf(key, "admin", subject) }, "grant revoked");
      return { kind: "revoked", place, why } as const;
    } catch (error) {
      if (isUnreadable(error)) return { kind: "unreadable", place, why: error.message } as const;
      throw error;
    }
  }

  async function ended({ key, isTheirSession, grant }: Found, isMeant: Parameters<TokenManager["endIf"]>[1]) {
    if (isTheirSession && grant.state === proto.GrantState.UNREADABLE) return tokens.revoke(key);
    const { kind } = await tokens.endIf(key, isMeant);
    if (kind === "unknown")
      throw new BearerswapError(
        "store_unavailable",
        "the store did not answer: some grants were revoked, and others perhaps not; repeat it",
      );
    return kind === "ended";
  }

  /** The sources whose grants are bound to this issuer's subjects. */
  function sourcesOf(issuer: string): readonly JwtSource[] {
    const bound = sources.filter(isJwtSource).filter((source) => source.subject === "sub");
    const issuers = [...new Set(bound.map((source) => source.issuer))];
    if (issuers.length === 0)
      throw new BearerswapError(
        "input",
        "grants cannot be found by their user here: no source of kind jwt has `subject: sub`",
      );
    const [only] = issuers;
    if (issuer === "" && issuers.length > 1)
      throw new BearerswapError("input", `say which issuer the subject is of; configured: ${issuers.join(", ")}`);
    const named = issuer === "" ? only : issuer;
    const found = bound.filter((source) => source.issuer === named);
    if (found.length === 0)
      throw new BearerswapError(
        "input",
        `no jwt source with \`subject: sub\` has the issuer "${issuer}"; configured: ${issuers.join(", ")}`,
      );
    return found;
  }
}

/** Whether a stored grant is the user's. One that cannot be read, or is bound to nobody, is in a session of theirs. */
function isOf(grant: Pick<proto.Grant, "subject">, subject: string): boolean {
  return grant.subject === "" || grant.subject === subject;
}

function noUpstream(upstream: string, providers: ReadonlyMap<string, unknown>): BearerswapError {
  return new BearerswapError(
    "input",
    `no upstream is named "${upstream}"; configured: ${[...providers.keys()].join(", ")}`,
  );
}

/** All of them, some at a time. Waits for each, and then throws the first error if there was one. */
async function inTurns<T, R>(all: readonly T[], each: (one: T) => Promise<R>): Promise<R[]> {
  const queue = new PQueue({ concurrency: atOnce });
  const settled = await Promise.allSettled(all.map((one) => queue.add(() => each(one))));
  return settled.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}
