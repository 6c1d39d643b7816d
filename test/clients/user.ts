import { join } from "node:path";
import { createHttpBrowser, type ShownPage } from "../support/http-browser.ts";
import { readBody, startHttpServer } from "../support/http-servers.ts";
import { until } from "../support/until.ts";

/** Somebody with a browser, which keeps its cookies: whoever is logged in somewhere stays so. */
export interface User {
  /** Opens an address that a client shows, and logs in wherever it leads. */
  open(url: string): Promise<ShownPage>;
  /** The same with a page that a client asks to open. */
  ask(url: string): Promise<ShownPage>;
  /** What was asked, oldest first. */
  readonly asked: readonly string[];
  /** What a client's process needs to open pages in this user's browser. */
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

export async function startUser(name: string): Promise<User> {
  const asked: string[] = [];
  const browser = createHttpBrowser();
  async function open(url: string): Promise<ShownPage> {
    let at = url;
    const visit = () =>
      browser.visit(at, (next) => {
        if (next.pathname === "/auth") next.searchParams.set("login_hint", name);
        at = next.href;
      });
    // Some clients open the page first, and listen for the user's return then: people are slower than this.
    return until(`an answer from ${new URL(url).host}`, () => visit().catch(undefinedIfRefused));
  }

  const server = await startHttpServer(async (request, response) => {
    const url = await readBody(request);
    response.end();
    await open(url);
  });
  return {
    open,
    ask(url) {
      asked.push(url);
      return open(url);
    },
    asked,
    env: { BROWSER: join(import.meta.dirname, "open-page.mjs"), TEST_USER: server.url },
    stop: server.stop,
  };
}

function undefinedIfRefused(error: unknown): undefined {
  if (!(error instanceof Error && "code" in error && error.code === "ECONNREFUSED")) throw error;
}
