import type { Reply, ReplyCookie } from "../check/reply.ts";
import { equalSecrets } from "../platform/digest.ts";
import { createRunningWork } from "../platform/running-work.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import { knownBrowser } from "./browser.ts";
import type { ConnectContext } from "./context.ts";
import { createFinish } from "./finish.ts";
import { ownerNow } from "./flow-owner.ts";
import type { SignIn } from "./sign-in.ts";
import { isConnectable, type Start } from "./start.ts";
import type { Begun, FlowState } from "./states.ts";
import { withCookies } from "./with-cookies.ts";

/** `callback`: where providers send users back to. */
interface Callback {
  /**
   * @param upstream whose redirect URI the browser came back to; empty: the shared one
   * @param late gets the cookies that the browser needs even if the answer comes too late for it
   */
  handle(input: CheckInput, upstream: string, query: URLSearchParams, late: ReplyCookie[]): Promise<Reply>;
  /** Resolves when no code is being redeemed any more, and the tokens are stored. */
  settled(): Promise<void>;
}

export function createCallback(
  context: ConnectContext,
  { start, signIn }: { readonly start: Start; readonly signIn: SignIn },
): Callback {
  const { store, states, tickets, sourcesByName, providers, messages, log, metrics } = context;
  const { finish } = createFinish(context);
  const work = createRunningWork();

  return {
    async handle(input, upstream, query, late) {
      // The store is asked before anything is used up: if a code were redeemed while grants cannot be stored, the login
      // would be lost. Now it is enough to load the page again.
      await store.ping();
      const [state, ...others] = query.getAll("state");
      const begun = state === undefined || others.length > 0 ? undefined : await states.look(state, input.cookies);
      if (begun === undefined) return messages.lostLogin();
      const { flow, login } = begun;
      const browser = knownBrowser(input);
      if (browser === undefined || !equalSecrets(browser.hash, flow.browser))
        return refuse(flow, "another browser", messages.otherBrowser());
      // Another provider's code, or one for another upstream, does not get to the provider where the login was begun.
      if (upstream !== (flow.redirect === "own" ? flow.upstream : ""))
        return refuse(flow, "another redirect URI", messages.foreignLogin(flow.upstream));
      const callback = new URL(`?${query}`, login.redirectUri);
      const ended = begun.ended === undefined ? [] : [begun.ended];
      if (flow.step === "sign_in") {
        if (!(await states.take(begun))) return messages.lostLogin();
        late.push(...ended);
        return withCookies(await signIn.finish({ input, begun, browser, callback, late }), ended);
      }
      if (flow.step === "identify") {
        if (!(await states.take(begun))) return messages.lostLogin();
        late.push(...ended);
        return withCookies(await identified(input, begun, callback), ended);
      }
      const owner = await ownerNow(input, flow, context);
      if (owner === "another") return refuse(flow, "another session", messages.otherBrowser());
      if (owner === "unknown") return messages.unavailable("It cannot be told right now whose session this is.");
      // The login is used up only now, so that nobody else can end it by opening its address: only the browser and the
      // session that began it get here.
      if (!(await states.take(begun))) return messages.lostLogin();
      late.push(...ended);
      // A code can be redeemed only once, so that what comes of it is stored even if nobody waits any more.
      return withCookies(await work.track(finish({ flow, owner, login, callback, late })), ended);
    },

    settled: work.settled,
  };

  /**
   * The user has logged in at the session's issuer. Goes on only if it is the user whom the ticket was made for,
   * whoever opened the link.
   */
  async function identified(input: CheckInput, { flow, login, ended }: Begun, callback: URL): Promise<Reply> {
    const ticket = await tickets.look(flow.ticket ?? "");
    const source = ticket && sourcesByName.get(ticket.source);
    const provider = providers.get(flow.upstream);
    if (ticket === undefined || source === undefined || !isConnectable(provider) || ticket.upstream !== flow.upstream)
      return messages.ticketGone();
    const outcome = await source.login.redeem(callback, login);
    if (outcome.kind === "denied") {
      metrics.login(flow.upstream, "denied");
      return messages.denied("The sign-in", undefined, outcome);
    }
    const identity = outcome.kind === "tokens" ? await outcome.identity : undefined;
    if (identity?.kind !== "verified") {
      metrics.login(flow.upstream, "failed");
      log.error(
        {
          event: "connect_failed",
          upstream: flow.upstream,
          step: flow.step,
          reason: outcome.kind === "failed" ? outcome.why : why(identity),
        },
        "the sign-in at the session's issuer failed",
      );
      return messages.providerTrouble(flow.upstream);
    }
    if (!equalSecrets(identity.issuer, source.issuer) || !equalSecrets(identity.subject, ticket.subject))
      return refuse(flow, "another user", messages.otherUser());
    if ((await tickets.take(flow.ticket ?? "")) === undefined) return messages.ticketGone();
    const owner = { session: ticket.session, subject: ticket.subject, source: ticket.source };
    const next = { step: "connect", upstream: flow.upstream, owner, by: "ticket", asked: ticket.scope } as const;
    return start.lead(provider, input, next, ended);
  }

  function refuse(flow: FlowState, reason: string, page: Reply): Reply {
    if (flow.step !== "sign_in") metrics.login(flow.upstream, "refused");
    log.warn(
      { event: "connect_refused", upstream: flow.upstream || undefined, source: flow.source, step: flow.step, reason },
      "a login came back from somebody else than began it, and was refused",
    );
    return page;
  }
}

function why(identity: { readonly kind: string; readonly why?: string } | undefined): string {
  return identity?.why ?? "the issuer gave no ID token";
}
