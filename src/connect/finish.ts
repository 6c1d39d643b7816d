import type { Reply, ReplyCookie } from "../check/reply.ts";
import { messageOf } from "../platform/error.ts";
import { foreignWord } from "../platform/foreign-text.ts";
import type { Login, LoginIdentity, LoginOutcome } from "../providers/code-flow.ts";
import type { Provider } from "../providers/provider.ts";
import { auditOf, type GrantKey, shortHash } from "../stores/grant.ts";
import type { GrantWrite } from "../stores/token-store.ts";
import { endAtProvider } from "../tokens/end-at-provider.ts";
import type { Login as PendingLogin } from "../tokens/logins.ts";
import { createAccounts } from "./accounts.ts";
import type { ConnectContext } from "./context.ts";
import { createGrantNaming } from "./grant-naming.ts";
import { keepSession } from "./kept-session.ts";
import { loginWrite } from "./login-write.ts";
import { messagePage } from "./message-page.ts";
import type { BegunSession } from "./own-sessions.ts";
import { type FlowOwner, type FlowState, flowLifeMs } from "./states.ts";
import { objectionTo, scopesIn, type WiderLogin, widerLogin } from "./wider-login.ts";

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
  /** Where the user is asked for more than was granted. */
  readonly wider: WiderLogin | undefined;
  readonly pending: PendingLogin;
}

type Tokens = LoginOutcome & { readonly kind: "tokens" };

export function createFinish(context: ConnectContext): Finish {
  const { providers, tokens, store, flows, askedScopes, ownSessions, links, messages, titleOf, clock, log, metrics } =
    context;
  const accounts = createAccounts(flows);
  const naming = createGrantNaming(context);

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
          return place === undefined ? messages.stranger() : keepIfSame(flow, place, provider, outcome, sentAt);
        case "denied":
          metrics.login(flow.upstream, "denied");
          log.info(
            { event: "connect_denied", upstream: flow.upstream, reason: plainWord(outcome.error) },
            "the provider sent the user back without a code",
          );
          if (flow.owner !== undefined && answersForGood(outcome.error))
            await askedScopes.remember({ ...flow.owner, upstream: flow.upstream }, scopesIn(flow.asked));
          return messages.denied(titleOf(flow.upstream), retryOf(flow), outcome, flow.asked !== undefined);
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
    const login = providers.get(flow.upstream)?.login;
    const wider = login && (await widerLogin(flow, key, { store, login, accounts }));
    const place = { key, subject: owner?.subject, source: owner?.source, begun, wider };
    const lifeMs = providers.get(flow.upstream)?.refreshTokenLifeMs ?? 0;
    await naming.name(place, lifeMs);
    const pending = await tokens.beginLogin(key);
    if (begun !== undefined) late.push(begun.cookie);
    return { ...place, pending };
  }

  /**
   * Further access is for the account that is connected. If another one came back nothing is stored, and the tokens are
   * forgotten rather than ended at the provider: some providers end all that the account has given us with them.
   */
  async function keepIfSame(
    flow: FlowState,
    place: Place,
    provider: Provider,
    outcome: Tokens,
    sentAt: number,
  ): Promise<Reply> {
    const { key, wider } = place;
    const objection = wider && objectionTo(await outcome.identity, wider);
    if (objection === undefined) return keep(flow, place, provider, outcome, sentAt);
    const ending = objection === "another account" ? "refused" : "failed";
    metrics.login(key.upstream, ending);
    log.warn(
      { event: `connect_${ending}`, ...about(key), reason: objection },
      "what came back is not known to be of the account that is connected: nothing was stored, and that account stays",
    );
    switch (objection) {
      case "another account":
        return messages.otherAccount(flow.upstream);
      case "another login":
        return messages.foreignLogin(flow.upstream);
      case "account unknown":
        return messages.providerTrouble(flow.upstream);
      default:
        return objection satisfies never;
    }
  }

  /** The tokens are stored first: whatever is wrong with the rest of the response must not cost the user the login. */
  async function keep(
    flow: FlowState,
    place: Place,
    provider: Provider,
    outcome: Tokens,
    sentAt: number,
  ): Promise<Reply> {
    const { key, subject, begun, pending, wider } = place;
    const { tokens: response } = outcome;
    const requested = wider?.requested;
    const given = loginWrite({ response, requested, subject, client: flow.client, sentAt }, provider, context);
    const cookies = begun === undefined ? [] : [begun.cookie];
    const { result, createdAt } = await pending.store(given);
    const write = { ...given, grant: { ...given.grant, createdAt } };
    if (result !== "stored") {
      metrics.login(key.upstream, result === "superseded" ? "superseded" : "failed");
      const uncertain = result === "unknown" ? auditOf(key, "user", write.grant.subject) : {};
      log.error({ event: "connect_failed", ...about(key), ...uncertain, reason: result }, "the grant was not stored");
    }
    switch (result) {
      case "stored":
        naming.nameAgain(place, write.life.ms);
        if (begun !== undefined) await keepSession(begun, context);
        await askedScopes.remember(key, wider?.asked ?? []);
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
      log.warn(
        { event: "login_undone", ...auditOf(key, "user", write.grant.subject) },
        "a login whose ID token is about somebody else was ended again",
      );
      return messages.foreignLogin(flow.upstream);
    }
    if (identity.kind === "verified")
      await accounts
        .remember(key, write.grant, identity)
        .catch((error: unknown) =>
          log.warn(
            { event: "account_not_kept", ...about(key), reason: messageOf(error) },
            "the account is connected, and its name could not be stored",
          ),
        );
    metrics.login(key.upstream, "connected");
    log.info(
      {
        event: "connected",
        ...auditOf(key, "user", write.grant.subject),
        refreshable: write.grant.refreshToken !== undefined,
      },
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

  /**
   * Where to try again. A ticket's session is not at the browser, and cannot begin again from there; and who does not
   * want to give further access is not asked for it again.
   */
  function retryOf({ upstream, by, returnTo, asked }: FlowState): string | undefined {
    return by === "ticket" || asked !== undefined ? undefined : links.connect(upstream, { returnTo });
  }
}

/**
 * What comes back with a login may be written by whoever holds its state, so that nothing but letters, digits, `_`, `.`
 * and `-` goes into the log.
 */
function plainWord(error: string): string {
  return foreignWord(error).replace(/[^\w.-]/g, "?");
}

/** Whether it would answer the same if it were asked again soon. */
function answersForGood(error: string): boolean {
  return error !== "temporarily_unavailable" && error !== "server_error";
}

function about({ session, upstream }: GrantKey): { readonly upstream: string; readonly session: string } {
  return { upstream, session: shortHash(session) };
}
