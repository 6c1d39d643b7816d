import { foreignText } from "../platform/foreign-text.ts";
import type { Browser } from "./browser.ts";
import type { ConnectContext } from "./context.ts";
import { type Html, html } from "./html.ts";
import type { PageSession } from "./page-sessions.ts";

type Context = Pick<ConnectContext, "sourcesByName" | "links">;

/** Above the accounts of somebody who is logged in here: who that is, at which issuer, and how to end it. */
export function signedInAs({ sourcesByName, links }: Context, page: PageSession, browser: Browser): Html {
  const { subject, name = subject } = page;
  const also = name === subject ? "" : html` (<bdi>${foreignText(subject, 100)}</bdi>)`;
  return html`<div class="card"><p>You are logged in as <b><bdi>${foreignText(name, 100)}</bdi></b>${also} at ${sourcesByName.get(page.source)?.title}. These are the accounts that your applications use when they sign in there as you.</p>
<div class="actions"><form method="post" action="${links.logOut(browser.logOutToken(page.id))}"><button class="button">Log out</button></form></div></div>
`;
}

/** Where people can log in whose applications have sessions that never come to a browser; undefined if nowhere. */
export function logInOffers({ sourcesByName, links }: Context): Html | undefined {
  const sources = [...sourcesByName].filter(([, { offersPage }]) => offersPage);
  if (sources.length === 0) return undefined;
  return html`<div class="card"><p>Do you use an application that signs in as you by itself? Log in where it does to see and connect its accounts.</p>
<div class="actions">${sources.map(([source, { title }]) => html`<a class="button" href="${links.logIn(source)}">Log in at ${title}</a>`)}</div></div>
`;
}
