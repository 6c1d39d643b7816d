import type { Reply, ReplyCookie } from "../check/reply.ts";
import { foreignText } from "../platform/foreign-text.ts";
import { html } from "./html.ts";
import type { Links } from "./links.ts";
import { type Message, messagePage } from "./message-page.ts";

/** What a user is told when something does not go as it should: what happened, and what to do. */
export interface Messages {
  wrongMethod(): Reply;
  notFound(): Reply;
  unreadable(what: string): Reply;
  /** The browser has no session, and connecting an account does not begin one. */
  stranger(): Reply;
  /** The browser has no session, and none begins with this account. */
  beginsElsewhere(upstream: string): Reply;
  /** The session does not say whose it is, although it should. */
  withoutSubject(): Reply;
  unavailable(what: string): Reply;
  /** A provider cannot be asked, or did not give tokens. */
  providerTrouble(upstream: string): Reply;
  /** A provider does not know us, and somebody has to see to that. */
  unregistered(upstream: string, why: string): Reply;
  ticketGone(): Reply;
  otherUser(): Reply;
  otherBrowser(): Reply;
  /** Whoever was to give an account further access logged in as another one. */
  otherAccount(upstream: string): Reply;
  lostLogin(): Reply;
  /** @param isWider what was denied is further access for an account that is connected, and stays so */
  denied(
    from: string,
    retry: string | undefined,
    answer: { readonly error: string; readonly description: string | undefined },
    isWider?: boolean,
  ): Reply;
  foreignLogin(upstream: string): Reply;
  /** Something newer than the login is stored. */
  newerLogin(upstream: string): Reply;
  /** Nobody knows whether the login is stored. */
  uncertain(upstream: string, cookies: readonly ReplyCookie[]): Reply;
  /** @param cookies that the answer would have set */
  slow(cookies: readonly ReplyCookie[]): Reply;
  staleForm(): Reply;
}

/**
 * @param titleOf what users read of an upstream
 * @param canLogIn whether people can log in on our pages
 */
export function createMessages(links: Links, titleOf: (upstream: string) => string, canLogIn: boolean): Messages {
  const overview = { label: "Show my connections", href: links.overview };
  const show = (message: Message) => messagePage({ actions: [overview], ...message });

  return {
    wrongMethod: () =>
      show({
        status: "wrong_method",
        title: "This does not work",
        text: ["This address takes no request of this kind."],
      }),
    notFound: () =>
      show({
        status: "not_found",
        title: "There is nothing here",
        text: ["This address leads nowhere. Perhaps the link was cut off."],
      }),
    unreadable: (what) =>
      show({
        status: "invalid",
        title: "This link cannot be used",
        text: [what, "Go back to where you found it, and open it again from there."],
      }),
    stranger: () =>
      show({
        status: "forbidden",
        title: "You are not signed in here",
        text: [
          "Accounts are connected to a session, and your browser has none, or one that has ended.",
          canLogIn ? "Log in, then choose the account again." : "Sign in to the application first, then come back.",
        ],
        actions: [{ label: canLogIn ? "Log in" : "Try again", href: links.overview }],
      }),
    beginsElsewhere: (upstream) =>
      show({
        status: "forbidden",
        title: "Connect another account first",
        text: [
          `What is entered for ${titleOf(upstream)} is not tried there, so that you cannot begin with it here.`,
          "Connect another account of this site, then come back for this one.",
        ],
      }),
    withoutSubject: () =>
      show({
        status: "forbidden",
        title: "Your session names no user",
        text: [
          "Accounts are connected to a user, and your session does not say who that is.",
          "Tell whoever runs this site.",
        ],
      }),
    unavailable: (what) =>
      show({
        status: "unavailable",
        title: "This does not work right now",
        text: [what, "Nothing is lost. Try again in a moment."],
      }),
    providerTrouble: (upstream) =>
      show({
        status: "unavailable",
        title: `${titleOf(upstream)} cannot be connected right now`,
        text: [
          `The provider of ${titleOf(upstream)} did not answer as it should.`,
          "Nothing has changed. Try again in a moment; if it stays like this, tell whoever runs this site.",
        ],
        actions: [overview],
      }),
    unregistered: (upstream, why) =>
      show({
        status: "unavailable",
        title: `${titleOf(upstream)} cannot be connected yet`,
        text: [
          `The provider of ${titleOf(upstream)} does not know this site. Nothing has changed.`,
          "Tell whoever runs this site, with these words:",
          html`<span class="soft"><bdi>${foreignText(why, 1_000)}</bdi></span>`,
        ],
      }),
    ticketGone: () =>
      show({
        status: "invalid",
        title: "This link was used or is too old",
        text: [
          "A link to connect an account works once, for ten minutes.",
          "Go back to your application and let it ask again: it gets a new link.",
        ],
        actions: [],
      }),
    otherUser: () =>
      show({
        status: "forbidden",
        title: "This link was made for somebody else",
        text: [
          "You signed in as another user than the one whose application made this link. Nothing was connected.",
          "If it is your own application, sign in as the user it runs as and let it make a new link. If somebody sent you this link, do not use it.",
        ],
        actions: [],
      }),
    otherBrowser: () =>
      show({
        status: "forbidden",
        title: "This login was begun elsewhere",
        text: [
          "It began in another browser, or in a session that is no longer yours. Nothing was connected.",
          "Begin again here.",
        ],
      }),
    otherAccount: (upstream) =>
      show({
        status: "forbidden",
        title: "You logged in with another account",
        text: [
          `Further access was wanted for the ${titleOf(upstream)} account that is connected, and you logged in as another.`,
          "Nothing was changed. Go back to where you came from and try again with the same account.",
          "To use the other account from now on, disconnect this one first.",
        ],
      }),
    lostLogin: () =>
      show({
        status: "invalid",
        title: "This login is no longer known",
        text: [
          "It took longer than ten minutes, or it was finished already: that happens after going back in the browser, or loading the page again.",
          "See whether the account is connected. If not, begin again.",
        ],
      }),
    denied(from, retry, { error, description }, isWider = false) {
      const refused = error === "access_denied";
      const words = foreignText(`${error}${description === undefined ? "" : `: ${description}`}`, 500);
      const what = refused ? `${from} says that you did not allow the access.` : `${from} did not finish the login.`;
      return show({
        status: refused ? "ok" : "unavailable",
        title: refused ? `Nothing was ${isWider ? "changed" : "connected"}` : "The login failed",
        text: [
          what,
          html`<span class="soft">Its answer: <bdi>${words}</bdi></span>`,
          isWider
            ? "Your account stays connected as it was. For ten minutes you are not asked for this access again."
            : "You can try again whenever you like.",
        ],
        actions: [...(retry === undefined ? [] : [{ label: "Try again", href: retry }]), overview],
      });
    },
    foreignLogin: (upstream) =>
      show({
        status: "forbidden",
        title: "This answer belongs to another login",
        text: [
          `What came back from ${titleOf(upstream)} was made for a different login than yours. Nothing was connected.`,
          "Begin again here.",
        ],
      }),
    newerLogin: (upstream) =>
      show({
        status: "forbidden",
        title: "Your login was not kept",
        text: [
          `While you logged in, ${titleOf(upstream)} was connected or disconnected elsewhere, and that is newer.`,
          "Begin again here if you want it in its place.",
        ],
      }),
    uncertain: (upstream, cookies) =>
      show({
        status: "unavailable",
        title: "It is not certain that your login was stored",
        text: [`See whether ${titleOf(upstream)} is connected. If not, connect it again.`],
        cookies,
      }),
    slow: (cookies) =>
      show({
        cookies,
        status: "unavailable",
        title: "This is taking a while",
        text: [
          "The provider has not answered yet. We are still waiting for it.",
          "Look again in a minute whether the account is connected.",
        ],
      }),
    staleForm: () =>
      show({
        status: "forbidden",
        title: "Nothing was changed",
        text: [
          "The page you came from is out of date, or the request came from elsewhere.",
          "Open your connections again, and repeat it there.",
        ],
      }),
  };
}
