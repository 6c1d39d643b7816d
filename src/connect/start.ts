import type { Reply, ReplyCookie } from "../check/reply.ts";
import { equalSecrets } from "../platform/digest.ts";
import { BearerswapError, messageOf } from "../platform/error.ts";
import type { CodeFlow } from "../providers/code-flow.ts";
import type { Provider } from "../providers/provider.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import type { Owner } from "../tokens/owner.ts";
import { browserFor, knownBrowser } from "./browser.ts";
import type { ConnectContext } from "./context.ts";
import type { Ask } from "./invitations.ts";
import { returnPath } from "./links.ts";
import { surplusCookies } from "./login-cookies.ts";
import { signInTrouble } from "./sign-in-messages.ts";
import type { FlowState } from "./states.ts";
import { ownerOf, type Visitor, visitorOf } from "./visitor.ts";
import { furtherScopes } from "./wider-login.ts";

type Begun = Omit<FlowState, "redirect" | "client" | "nonce" | "verifier" | "browser">;

/** What users connect their accounts with: a login at a provider, or a form of ours for a secret. */
type Connectable = Provider & (Pick<Required<Provider>, "login"> | Pick<Required<Provider>, "secret">);

/** Whether users can connect an account there by themselves. */
export function isConnectable(provider: Provider | undefined): provider is Connectable {
  return provider?.login !== undefined || provider?.secret !== undefined;
}

/**
 * Whether a session can begin there. A secret that is not tried could be any text: sessions would cost strangers
 * nothing, and with each they could guess the secrets of other upstreams anew, or fill the store.
 */
export function beginsSessions(provider: Provider | undefined): boolean {
  return provider?.login !== undefined || provider?.secret?.verify !== undefined;
}

/** Sends users to providers, or to the form for a secret. */
export interface Start {
  /** `connect/<upstream>`: for the session at the browser, or for that of a ticket. */
  begin(input: CheckInput, upstream: string, query: URLSearchParams): Promise<Reply>;
  /**
   * Sends the request's browser to where its user connects an account.
   *
   * @param ended deletes the cookie of the step before
   */
  lead(to: Connectable, input: CheckInput, state: Begun, ended?: ReplyCookie): Promise<Reply>;
  /** Sends the request's browser to one provider for one step. */
  send(to: CodeFlow, input: CheckInput, state: Begun, ended?: ReplyCookie): Promise<Reply>;
}

export function createStart(context: ConnectContext): Start {
  const { providers, states, tickets, asks, sourcesByName, messages, links, random, log } = context;

  return {
    async begin(input, upstream, query) {
      const provider = providers.get(upstream);
      if (!isConnectable(provider)) return messages.notFound();
      const ticket = query.get("ticket");
      if (ticket !== null) return identify(input, upstream, ticket);
      const asked = query.get("return_to");
      const returnTo = asked === null ? undefined : returnPath(asked, links.origin);
      if (asked !== null && returnTo === undefined)
        return messages.unreadable("It would lead back to an address that is not on this site.");
      const askId = query.get("ask");
      const ask = askId === null ? undefined : await asks.look(askId);
      if (askId !== null && ask?.upstream !== upstream) return messages.ticketGone();
      // Who comes from an API is there with the session that the request carries, and a login on our pages is none there.
      const visitor = await visitorOf(input, context, asked === null && ask === undefined ? "latest" : "session");
      if (ask !== undefined && isForAnother(visitor, ask)) return messages.otherBrowser();
      switch (visitor.kind) {
        case "session":
          // The source compares subjects, and nobody could use a grant without one.
          if (visitor.session.owner !== undefined && visitor.session.owner.subject === undefined)
            return messages.withoutSubject();
          if (isOfAnother(visitor.session, input, upstream, query.get("token"))) return messages.staleForm();
          return lead(provider, input, {
            step: "connect",
            upstream,
            owner: ownerOf(visitor.session),
            by: visitor.page === undefined ? "session" : "page",
            asked: ask?.scope,
            returnTo,
          });
        case "newcomer":
          if (!beginsSessions(provider)) return messages.beginsElsewhere(upstream);
          return lead(provider, input, { step: "connect", upstream, by: "session", returnTo });
        case "stranger":
          return messages.stranger();
        case "unknown":
          log.warn(
            { event: "connect_failed", upstream, reason: visitor.why },
            "it cannot be told whose session this is",
          );
          return messages.unavailable("It cannot be told right now whose session this is.");
        default:
          return visitor satisfies never;
      }
    },
    lead,
    send,
  };

  async function lead(to: Connectable, input: CheckInput, begun: Begun, ended?: ReplyCookie): Promise<Reply> {
    if (to.login !== undefined) return send(to.login, input, begun, ended);
    const browser = browserFor(input, random);
    const flow = await states.begin({ ...begun, browser: browser.hash });
    if (flow === undefined) return messages.unreadable("The session it is for is too long to connect an account to.");
    const cookies = [browser.cookie, flow.cookie, ...surplusCookies(input.cookies, ended)];
    return { kind: "redirect", to: links.secret(begun.upstream, flow.login.state), cookies };
  }

  /**
   * A ticket's link may have come to anybody: only somebody who logs in at the session's issuer as the session's
   * subject may connect an account to the session.
   */
  async function identify(input: CheckInput, upstream: string, id: string): Promise<Reply> {
    const ticket = await tickets.look(id);
    const source = ticket && sourcesByName.get(ticket.source);
    if (ticket === undefined || source === undefined || ticket.upstream !== upstream) return messages.ticketGone();
    const owner = { session: ticket.session, subject: ticket.subject };
    return send(source.login, input, { step: "identify", upstream, owner, by: "ticket", ticket: id });
  }

  async function send(to: CodeFlow, input: CheckInput, begun: Begun, ended?: ReplyCookie): Promise<Reply> {
    const browser = browserFor(input, random);
    const redirect = to.hasOwnRedirect ? ("own" as const) : undefined;
    let client: FlowState["client"];
    try {
      client = await to.prepare?.();
    } catch (error) {
      return troubled(begun, error);
    }
    const flow = await states.begin({ ...begun, redirect, client, browser: browser.hash });
    if (flow === undefined) return messages.unreadable("The session it is for is too long to connect an account to.");
    const further = await furtherScopes(begun, context.store);
    try {
      const cookies = [browser.cookie, flow.cookie, ...surplusCookies(input.cookies, ended)];
      return { kind: "redirect", to: await to.authorizationUrl({ ...flow.login, further }), cookies };
    } catch (error) {
      return troubled(begun, error);
    }
  }

  function troubled(
    { step, upstream, source }: Pick<FlowState, "step" | "upstream" | "source">,
    error: unknown,
  ): Reply {
    log.error(
      { event: "connect_failed", upstream: upstream || undefined, source, step, reason: messageOf(error) },
      "the user cannot be sent to the provider",
    );
    if (step === "sign_in") return signInTrouble(links, sourcesByName.get(source ?? "")?.title ?? "");
    const isUnregistered = error instanceof BearerswapError && error.code === "registration";
    return isUnregistered ? messages.unregistered(upstream, error.message) : messages.providerTrouble(upstream);
  }
}

/** Whoever has the link may have got it from somebody else: it asks nobody but the session whose request was refused. */
function isForAnother(visitor: Visitor, { session }: Ask): boolean {
  if (visitor.kind === "unknown") return false;
  return visitor.kind !== "session" || !equalSecrets(visitor.session.session, session);
}

/** Whether the link was made for another session than the one that is at the browser now. */
function isOfAnother({ session }: Owner, input: CheckInput, upstream: string, token: string | null): boolean {
  if (token === null) return false;
  const expected = knownBrowser(input)?.linkToken(session, upstream);
  return expected === undefined || !equalSecrets(token, expected);
}
