import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "puppeteer-core";
import { expect } from "vitest";

/** With SCREENSHOTS=DIR the pages are kept there, to be looked at. */
const screenshots = process.env.SCREENSHOTS;

/** A person with a browser window of their own, who sees one page. */
export interface PageVisitor {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What the page complained about on its console. */
  readonly complaints: string[];
  /** The hosts that were asked for anything. */
  readonly hosts: Set<string>;
  /** Goes to an address, and to wherever that leads. @returns the status */
  goto(url: string): Promise<number | undefined>;
  /** Presses the link or button of that name, and waits until the address begins with `to` and the page is there. */
  press(name: string, to: string): Promise<void>;
  /** The text of the list's entry for an upstream. */
  entry(title: string): Promise<string>;
  /** The text of all that the page shows. */
  text(): Promise<string>;
  /** The status of a request that a script of the page makes. */
  fetch(path: string, headers?: Readonly<Record<string, string>>): Promise<number>;
  keep(name: string): Promise<unknown>;
}

export async function newVisitor(browser: Browser): Promise<PageVisitor> {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  const complaints: string[] = [];
  const hosts = new Set<string>();
  // The icon is asked for on the API's own pages; ours name one.
  page.on("console", (message) => {
    if (message.type() === "error" && message.location().url?.endsWith("/favicon.ico") !== true)
      complaints.push(message.text());
  });
  page.on("request", (request) => {
    const { protocol, host } = new URL(request.url());
    if (/^https?:$/.test(protocol)) hosts.add(host);
  });

  return {
    page,
    context,
    complaints,
    hosts,
    goto: async (url) => (await page.goto(url))?.status(),
    async press(name, to) {
      await Promise.all([page.waitForNavigation(), page.locator(`::-p-aria([name="${name}"])`).click()]);
      await expect.poll(() => page.url()).toMatch(new RegExp(`^${to}`));
      await expect.poll(() => page.evaluate("document.readyState")).toBe("complete");
    },
    entry: (title) =>
      evaluated(
        page,
        `[...document.querySelectorAll("li")].find((item) => item.querySelector("h2").textContent === ${JSON.stringify(title)}).textContent`,
      ),
    text: () => evaluated(page, "document.body.textContent"),
    async fetch(path, headers = {}) {
      return (await page.evaluate(
        `fetch(${JSON.stringify(path)}, { headers: ${JSON.stringify(headers)} }).then(({ status }) => status)`,
      )) as number;
    },
    keep: async (name) =>
      screenshots && page.screenshot({ path: join(screenshots, `${name}.png`) as `${string}.png`, fullPage: true }),
  };
}

async function evaluated(page: Page, expression: string): Promise<string> {
  return String(await page.evaluate(expression));
}
