import type { PageStatus, Reply, ReplyCookie } from "../check/reply.ts";
import { contentSecurityPolicy, type Html, html, layout } from "./html.ts";

/** A page that says what happened and what to do. */
export interface Message {
  readonly status: PageStatus;
  readonly title: string;
  /** Paragraphs: what happened, then what to do. */
  readonly text: readonly (string | Html)[];
  /** Where to go from there; the first is the one to take. */
  readonly actions?: readonly { readonly label: string; readonly href: string }[];
  readonly cookies?: readonly ReplyCookie[];
  /** An address that the browser goes to by itself. */
  readonly next?: string;
}

/** The reply that shows a message. */
export function messagePage({ status, title, text, actions = [], cookies = [], next }: Message): Reply {
  const links = actions.map(
    ({ label, href }, at) => html`<a class="button${at === 0 ? " primary" : ""}" href="${href}">${label}</a>`,
  );
  const content = html`<div class="card"${status === "ok" ? "" : html` role="alert"`}>
${text.map((paragraph) => html`<p>${paragraph}</p>\n`)}${links.length === 0 ? "" : html`<div class="actions">${links}</div>`}
</div>`;
  return { kind: "page", status, html: layout(title, content, next), contentSecurityPolicy, cookies };
}
