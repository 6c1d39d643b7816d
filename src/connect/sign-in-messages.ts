import type { Reply } from "../check/reply.ts";
import { foreignText } from "../platform/foreign-text.ts";
import { html } from "./html.ts";
import type { Links } from "./links.ts";
import { messagePage } from "./message-page.ts";

interface At {
  readonly source: string;
  /** What users read of the source's issuer. */
  readonly title: string;
}

/** The issuer cannot be asked, or did not say who the user is. */
export function signInTrouble(links: Links, title: string): Reply {
  return messagePage({
    status: "unavailable",
    title: "You cannot log in right now",
    text: [
      `${title} did not answer as it should.`,
      "Nothing has changed, and connected accounts go on working. Try again in a moment; if it stays like this, tell whoever runs this site.",
    ],
    actions: [{ label: "Show my connections", href: links.overview }],
  });
}

/** The issuer sent the user back without a login. */
export function signInDenied(
  links: Links,
  { source, title, error, description }: At & { readonly error: string; readonly description: string | undefined },
): Reply {
  const words = foreignText(`${error}${description === undefined ? "" : `: ${description}`}`, 500);
  return messagePage({
    status: error === "access_denied" ? "ok" : "unavailable",
    title: "You are not logged in",
    text: [
      `${title} sent you back without a login. Nothing has changed.`,
      html`<span class="soft">Its answer: <bdi>${words}</bdi></span>`,
    ],
    actions: [
      { label: "Try again", href: links.logIn(source) },
      { label: "Show my connections", href: links.overview },
    ],
  });
}

/** The issuer ended the session while the login was on its way. */
export function signInRefused(links: Links, { source, title }: At): Reply {
  return messagePage({
    status: "forbidden",
    title: "You were logged out meanwhile",
    text: [`${title} ended your session while you logged in here.`, "Log in again if you want to go on."],
    actions: [{ label: "Log in", href: links.logIn(source) }],
  });
}
