import type { Reply, ReplyCookie } from "../check/reply.ts";
import { messageOf } from "../platform/error.ts";
import { foreignWord } from "../platform/foreign-text.ts";
import type { Login, LoginIdentity, LoginOutcome } from "../providers/code-flow.ts";
import type { Provider } from "../providers/provider.ts";
import type { TokenResponse } from "../providers/token-response.ts";
import { type GrantKey, shortHash } from "../stores/grant.ts";
import type { GrantWrite } from "../stores/token-store.ts";
import { endAtProvider } from "../tokens/end-at-provider.ts";
import { issuedAccess } from "../tokens/issued-access.ts";
import type { Login as PendingLogin } from "../tokens/logins.ts";
import { untilStored } from "../tokens/until-stored.ts";
import { createAccounts } from "./accounts.ts";
import type { ConnectContext } from "./context.ts";
import { messagePage } from "./message-page.ts";
import type { BegunSession } from "./own-sessions.ts";
import { type FlowOwner, type FlowState, flowLifeMs } from "./states.ts";

/** The last step of a login: from the provider's answer to a stored grant. */
interface Finish {
  finish(returning: Returning): Promise<Reply>;
}

/** A browser that came back from a provider. */
interface Returning {
  readonly flow: FlowState;
  /** Whose grant it becomes; undefined for a newcomer, whose session begins now. */
  readonly owner: FlowOwner | undefined;
  readonly login: Login;
  readonly callback: URL;
  /** Gets the cookies that the browser needs even if the answer comes too late for it. */
  readonly late: ReplyCookie[];
}

/**
 * Where the grant will be. It is made ready before the code is redeemed, so that the tokens need nothing but their own
 * write to be stored.
 */
interface Place {
  readonly key: GrantKey;
  readonly subject: string | undefined;
  /** The session's source; undefined where a newcomer's session begins. */
  readonly source: string | undefined;
  readonly begun: BegunSession | undefined;
  readonly pending: PendingLogin;
}

type Tokens = LoginOutcome & { readonly kind: "tokens" };

export function createFinish(context: ConnectContext): Finish {
  const { providers, tokens, flows, names, ownSessions, links, messages, titleOf, clock, random, log, metrics } =
    context;
  const accounts = createAccounts(flows);

  return {
    async finish(returning) {
      const { flow, login, callback } = returning;
      const provider = providers.get(flow.upstream);
      if (provider?.login === undefined) return messages.notFound();
      const place = callback.searchParams.has("code") ? await prepare(returning) : undefined;
      const sentAt = clock.monotonicMs();
      const outcome = await provider.login.redeem(callback, login);
      switch (outcome.kind) {
        case "tokens":
          return place === undefined ? messages.stranger() : keep(flow, place, provider, outcome, sentAt);
        case "denied":
          metrics.login(flow.upstream, "denied");
          log.info(
            { event: "connect_denied", upstream: flow.upstream, reason: plainWord(outcome.error) },
            "the provider sent the user back without a code",
          );
          return messages.denied(titleOf(flow.upstream), retryOf(flow), outcome.error, outcome.description);
        case "failed":
          metrics.login(flow.upstream, "failed");
          log.error(
            { event: "connect_failed", upstream: flow.upstream, reason: outcome.why },
            "the code could not be redeemed",
          );
          return messages.providerTrouble(flow.upstream);
        default:
          return outcome satisfies never;
      }
    },
  };

  /** If the store fails now the login has failed: its state is used up. */
  async function prepare(returning: Returning): Promise<Place | undefined> {
    try {
      return await placeOf(returning);
    } catch (error) {
      metrics.login(returning.flow.upstream, "failed");
      throw error;
    }
  }

  async function placeOf({ flow, owner, late }: Returning): Promise<Place | undefined> {
    const begun = owner === undefined ? await ownSessions?.begin(flowLifeMs) : undefined;
    const session = owner?.session ?? begun?.session;
    if (session === undefined) return undefined;
    const key = { session, upstream: flow.upstream };
    const place = { key, subject: owner?.subject, source: owner?.source, begun };
    const lifeMs = providers.get(flow.upstream)?.refreshTokenLifeMs ?? 0;
    await named(place, lifeMs).catch((error: unknown) => notNamed(place, error));
    const pending = await tokens.beginLogin(key);
    if (begun !== undefined) late.push(begun.cookie);
    return { ...place, pending };
  }

  /** Lets the grant be found by its user. */
  async function named({ key, source, subject }: Omit<Place, "pending">, lifeMs: number): Promise<void> {
    if (source !== undefined && subject !== undefined) await names?.granted(source, key.session, subject, lifeMs);
  }

  /** Once more now that it is stored: who looked before found no grant, and took the name away. */
  function stayNamed(place: Place, lifeMs: number): void {
    const failed = (reason: unknown) => notNamed(place, reason);
    void untilStored(clock, () => named(place, lifeMs), flowLifeMs, failed).catch(() => undefined);
  }

  function notNamed({ key }: Omit<Place, "pending">, reason: unknown): void {
    log.warn(
      { event: "session_not_indexed", ...about(key), reason: messageOf(reason) },
      "a login could not be stored under its user's name, and goes on; it is tried again when the account is connected",
    );
  }

  /** The tokens are stored first: whatever is wrong with the rest of the response must not cost the user the login. */
  async function keep(
    flow: FlowState,
    place: Place,
    provider: Provider,
    outcome: Tokens,
    sentAt: number,
  ): Promise<Reply> {
    const { key, subject, begun, pending } = place;
    const given = writeOf(outcome.tokens, { subject, client: flow.client }, provider, sentAt);
    const cookies = begun === undefined ? [] : [begun.cookie];
    const { result, createdAt } = await pending.store(given);
    const write = { ...given, grant: { ...given.grant, createdAt } };
    if (result !== "stored") {
      metrics.login(key.upstream, result === "superseded" ? "superseded" : "failed");
      log.error({ event: "connect_failed", ...about(key), reason: result }, "the grant was not stored");
    }
    switch (result) {
      case "stored":
        stayNamed(place, write.life.ms);
        if (begun !== undefined) await keepSession(begun);
        return verified(flow, key, write, provider, await outcome.identity, cookies);
      case "superseded":
        void endAtProvider(key, { ...outcome.tokens, client: flow.client }, { provider, log });
        return messages.newerLogin(flow.upstream);
      case "full":
        void endAtProvider(key, { ...outcome.tokens, client: flow.client }, { provider, log });
        return messages.unavailable("Your login could not be stored.");
      case "unknown":
        return messages.uncertain(flow.upstream, cookies);
      default:
        return result satisfies never;
    }
  }

  /** The session's grant is stored. Without this the session would end when the time for the login is over. */
  async function keepSession({ session }: BegunSession): Promise<void> {
    const failed = (reason: unknown) =>
      log.warn(
        { event: "session_not_kept", session: shortHash(session), reason: messageOf(reason) },
        "the lives of a new session could not be stored; it is tried again until the time for the login is over",
      );
    await untilStored(clock, async () => ownSessions?.keep(session), flowLifeMs, failed).catch(() => undefined);
  }

  async function verified(
    flow: FlowState,
    key: GrantKey,
    write: GrantWrite,
    provider: Provider,
    identity: LoginIdentity,
    cookies: readonly ReplyCookie[],
  ): Promise<Reply> {
    if (identity.kind === "unverified")
      log.warn(
        { event: "connect_unverified", ...about(key), reason: identity.why },
        "the ID token could not be verified",
      );
    if (identity.kind === "unverified" && identity.foreign) {
      metrics.login(key.upstream, "failed");
      const end = await tokens.endIf(key, ({ createdAt }) => createdAt === write.grant.createdAt);
      // These tokens are somebody else's. While the store may still hold them, the user is not told that they are gone.
      if (end.kind === "unknown" && !(await end.isEnded))
        return messages.unavailable("It cannot be told right now what became of this login.");
      const { refreshToken, client } = write.grant;
      const given = { refreshToken, accessToken: write.access?.token, client };
      void endAtProvider(key, given, { provider, log });
      return messages.foreignLogin(flow.upstream);
    }
    const name = identity.kind === "verified" ? (identity.name ?? identity.subject) : undefined;
    if (name !== undefined)
      await accounts
        .remember(key, write.grant, name)
        .catch((error: unknown) =>
          log.warn(
            { event: "account_not_kept", ...about(key), reason: messageOf(error) },
            "the account is connected, and its name could not be stored",
          ),
        );
    metrics.login(key.upstream, "connected");
    log.info(
      { event: "connected", ...about(key), refreshable: write.grant.refreshToken !== undefined },
      "an account was connected",
    );
    return done(flow, write, cookies);
  }

  function done(flow: FlowState, { grant }: GrantWrite, cookies: readonly ReplyCookie[]): Reply {
    const { upstream, returnTo, by } = flow;
    if (grant.refreshToken === undefined) return withoutRefreshToken(flow, cookies);
    if (by === "ticket") {
      const text = ["You can close this page and go back to your application."];
      return messagePage({ status: "ok", title: `${titleOf(upstream)} is connected`, text, cookies });
    }
    return { kind: "redirect", to: returnTo === undefined ? links.overview : links.back(returnTo), cookies };
  }

  function withoutRefreshToken({ upstream, returnTo, by }: FlowState, cookies: readonly ReplyCookie[]): Reply {
    const further = { label: "Go on", href: returnTo === undefined ? links.overview : links.back(returnTo) };
    return messagePage({
      status: "ok",
      title: `${titleOf(upstream)} is connected for a short time`,
      text: [
        "The provider gave no refresh token: when the access it gave ends, you will have to connect again.",
        "You can go on for now. Tell whoever runs this site: often the provider has to be asked for offline access.",
      ],
      actions: by === "ticket" ? [] : [further],
      cookies,
    });
  }

  function writeOf(
    response: TokenResponse,
    bound: Pick<GrantWrite["grant"], "subject" | "client">,
    provider: Provider,
    sentAt: number,
  ): GrantWrite {
    const now = clock.wallMs();
    const { refreshToken, refreshExpiresInMs, scope, lifeMs } = response;
    return {
      version: random.id(),
      grant: { ...bound, refreshToken, scope, accessLifeMs: lifeMs, createdAt: now, refreshedAt: now },
      access: issuedAccess(response, clock.monotonicMs() - sentAt, provider.accessTokenLifeMs),
      life: { ms: refreshExpiresInMs ?? provider.refreshTokenLifeMs, stated: refreshExpiresInMs !== undefined },
    };
  }

  /** Where to try again. A ticket's session is not at the browser, and cannot begin again from there. */
  function retryOf({ upstream, by, returnTo }: FlowState): string | undefined {
    return by === "ticket" ? undefined : links.connect(upstream, { returnTo });
  }
}

/**
 * What comes back with a login may be written by whoever holds its state, so that nothing but letters, digits, `_`, `.`
 * and `-` goes into the log.
 */
function plainWord(error: string): string {
  return foreignWord(error).replace(/[^\w.-]/g, "?");
}

function about({ session, upstream }: GrantKey): { readonly upstream: string; readonly session: string } {
  return { upstream, session: shortHash(session) };
}
