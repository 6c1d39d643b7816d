import { createHttpBrowser, type ShownPage } from "../support/http-browser.ts";

/** How a newcomer with a browser fared. */
export type PageVisit = { readonly kind: "connected" } | { readonly kind: "failed"; readonly why: string };

export interface PageVisitOptions {
  /** The page where accounts are connected. */
  readonly page: string;
  /** At the API, behind the same Envoy. */
  readonly api: string;
  readonly upstream: string;
  /** Whom to log in as. */
  readonly account: string;
}

/**
 * Opens the page, follows Connect to the provider, logs in there, comes back, and calls the API with nothing but the
 * cookie that this brought. Never rejects.
 */
export async function visitPage(options: PageVisitOptions): Promise<PageVisit> {
  try {
    await connectAndCall(options);
    return { kind: "connected" };
  } catch (error) {
    // Where both addresses of a name refuse, Node leaves the message empty.
    const { message, code } = error as NodeJS.ErrnoException;
    return { kind: "failed", why: message === "" ? String(code) : message };
  }
}

async function connectAndCall({ page, api, upstream, account }: PageVisitOptions): Promise<void> {
  const browser = createHttpBrowser();
  const overview = await browser.visit(page);
  const link = new RegExp(`href="([^"]+)" aria-label="Connect: ${upstream}"`).exec(overview.body)?.[1];
  if (link === undefined) throw unexpected(overview, "without a link to connect");
  const back = await browser.submit(await browser.visit(new URL(link, overview.url).href), { account });
  if (back.url !== page || !back.body.includes(">Connected<"))
    throw unexpected(back, `after the login, not ${page} with the account`);
  const answer = await browser.visit(api);
  if (answer.url !== api || answer.status !== 200) throw unexpected(answer, `in place of ${api} with 200`);
}

/** Without the query, where codes and states are. */
function unexpected({ url, status, body }: ShownPage, what: string): Error {
  const text = body.replace(/<style>.*?<\/style>|<[^>]*>/gs, " ").replace(/\s+/g, " ");
  return new Error(`${url.split("?")[0]} with ${status} came ${what}: ${text.trim().slice(0, 200)}`);
}
