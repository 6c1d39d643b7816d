import type { Reply } from "../check/reply.ts";
import type { Links } from "./links.ts";
import { type Message, messagePage } from "./message-page.ts";

/** What a user is told who enters a secret, where it is not the form again. */
export function secretMessages(links: Links, titleOf: (upstream: string) => string) {
  const again = (upstream: string) => ({ label: "Begin again", href: links.connect(upstream) });
  const overview = { label: "Show my connections", href: links.overview };
  const show = (upstream: string, message: Omit<Message, "actions">): Reply =>
    messagePage({ actions: [overview, again(upstream)], ...message });

  return {
    lost: (upstream: string) =>
      show(upstream, {
        status: "invalid",
        title: "This form is no longer good",
        text: [
          "It was open for longer than ten minutes, or was sent already.",
          `See whether ${titleOf(upstream)} is connected. If not, begin again.`,
        ],
      }),
    /** @param isNewcomer users without a session are counted together */
    tooMany: (upstream: string, isNewcomer: boolean) =>
      show(upstream, {
        status: "too_many",
        title: "Too many attempts",
        text: [
          isNewcomer
            ? `${titleOf(upstream)} has refused too much of what you and others without a session here have entered.`
            : `${titleOf(upstream)} has refused what was entered several times.`,
          "What you entered now was not tried. Nothing has changed.",
          "Try again in ten minutes.",
        ],
      }),
    /** Envoy is not told to send the form's content. */
    withoutBody: (upstream: string) =>
      show(upstream, {
        status: "unavailable",
        title: "The form did not arrive",
        text: [
          "It came without its content. Nothing has changed.",
          "Tell whoever runs this site: Envoy has to send the body of this address (with_request_body).",
        ],
      }),
    tooLong: (upstream: string) =>
      show(upstream, {
        status: "invalid",
        title: "The form did not arrive as a whole",
        text: ["It is longer than this site takes. Nothing has changed.", "Begin again, and enter the secret alone."],
      }),
    /** @param next where its user was; undefined: the page of accounts */
    connected: (upstream: string, next: string | undefined): Reply =>
      messagePage({
        status: "ok",
        title: `${titleOf(upstream)} is connected`,
        text: ["You are led back to where you were."],
        actions: [{ label: "Go on", href: next ?? links.overview }],
        next: next ?? links.overview,
      }),
    connectedElsewhere: (upstream: string): Reply =>
      messagePage({
        status: "ok",
        title: `${titleOf(upstream)} is connected`,
        text: ["You can close this page and go back to your application."],
      }),
  };
}
