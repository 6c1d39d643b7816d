import type { Reply, ReplyCookie } from "../check/reply.ts";
import { equalSecrets } from "../platform/digest.ts";
import type { LoginOutcome } from "../providers/code-flow.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import { shortHash } from "../stores/grant.ts";
import { type Browser, knownBrowser } from "./browser.ts";
import type { ConnectContext } from "./context.ts";
import { endedCookie } from "./login-cookies.ts";
import type { LoginSource } from "./login-sources.ts";
import { pageCookie } from "./page-sessions.ts";
import { signInDenied, signInRefused, signInTrouble } from "./sign-in-messages.ts";
import type { Start } from "./start.ts";
import type { Begun } from "./states.ts";

/** How people log in on our pages for a source whose sessions never come to a browser. */
export interface SignIn {
  /** `login/<source>`: sends the browser to the source's issuer. */
  begin(input: CheckInput, source: string): Promise<Reply>;
  /**
   * The browser that began has come back from there.
   *
   * @param late gets the cookies that the browser needs even if the answer comes too late for it
   */
  finish(returning: {
    readonly input: CheckInput;
    readonly begun: Begun;
    readonly browser: Browser;
    readonly callback: URL;
    readonly late: ReplyCookie[];
  }): Promise<Reply>;
  /** `POST logout?token=…`: ends the login on our pages and nothing else. */
  logOut(input: CheckInput, query: URLSearchParams): Promise<Reply>;
}

export function createSignIn(context: ConnectContext, start: Start): SignIn {
  const { sourcesByName, pageSessions, links, messages, log } = context;

  return {
    async begin(input, source) {
      const known = forPages(source);
      if (known === undefined) return messages.notFound();
      return start.send(known.login, input, { step: "sign_in", upstream: "", source, by: "page" });
    },

    async finish({ input, begun: { flow, login }, browser, callback, late }) {
      const name = flow.source ?? "";
      const source = forPages(name);
      if (source === undefined || pageSessions === undefined) return messages.notFound();
      // Set in any case: if the issuer is slow the user gets a page that says so, and is logged in all the same.
      const cookie = pageSessions.newCookie();
      late.push(cookie);
      const outcome = await source.login.redeem(callback, login);
      if (outcome.kind === "denied") return signInDenied(links, { source: name, title: source.title, ...outcome });
      const user = await userOf(outcome, name, source);
      if (user === undefined) return signInTrouble(links, source.title);
      // Who logs in as somebody else is that user from now on, and no longer the one before.
      await pageSessions.end(input);
      if (!(await pageSessions.begin(cookie, user, browser.hash)))
        return signInRefused(links, { source: name, title: source.title });
      log.info({ event: "signed_in", source: name }, "a user logged in on the page of accounts");
      return { kind: "redirect", to: links.overview, cookies: [cookie] };
    },

    async logOut(input, query) {
      if (input.header("origin") !== links.origin) return messages.staleForm();
      const page = await pageSessions?.at(input);
      const expected = page && knownBrowser(input)?.logOutToken(page.id);
      if (page === undefined || pageSessions === undefined)
        return { kind: "redirect", to: links.overview, afterPost: true, cookies: [endedCookie(pageCookie)] };
      if (expected === undefined || !equalSecrets(query.get("token") ?? "", expected)) return messages.staleForm();
      const cookies = [await pageSessions.end(input)];
      log.info(
        { event: "signed_out", source: page.source, session: shortHash(page.session.session) },
        "a user logged out on the page of accounts",
      );
      return { kind: "redirect", to: links.overview, afterPost: true, cookies };
    },
  };

  function forPages(name: string): LoginSource | undefined {
    const source = sourcesByName.get(name);
    return source?.offersPage === true ? source : undefined;
  }

  /** The user whom the issuer's ID token names; undefined where it names none, and the log says why. */
  async function userOf(outcome: LoginOutcome, source: string, { issuer }: LoginSource) {
    const identity = outcome.kind === "tokens" ? await outcome.identity : undefined;
    if (identity?.kind === "verified" && equalSecrets(identity.issuer, issuer)) {
      const { subject, sid, name } = identity;
      return { source, subject, sid, name };
    }
    log.error(
      { event: "connect_failed", step: "sign_in", source, reason: reasonOf(outcome, identity) },
      "the login at the session's issuer failed",
    );
    return undefined;
  }
}

function reasonOf(
  outcome: LoginOutcome,
  identity: { readonly kind: string; readonly why?: string } | undefined,
): string {
  if (outcome.kind === "failed") return outcome.why;
  return identity?.kind === "verified" ? "the ID token is another issuer's" : (identity?.why ?? "there is no ID token");
}
