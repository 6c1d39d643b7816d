import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page, Target } from "puppeteer-core";
import { expect, test } from "vitest";
import { startBrowser } from "../browser/browsers.ts";
import { startChildServer } from "../support/child-process.ts";
import { freePort } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { installPrograms } from "./programs.ts";
import { type Stage, startStage } from "./stage.ts";
import { type StoryClient, tellStory } from "./story.ts";
import type { User } from "./user.ts";

const opened = resources();
const { use, onStop } = opened;

/** The inspector's own server for its page, and the page's address. */
async function startInspector({ mcpUrl }: Stage, era: string): Promise<string> {
  const programs = await installPrograms();
  const dir = await mkdtemp(join(tmpdir(), "bearerswap-inspector-"));
  onStop(() => rm(dir, { recursive: true, force: true }));
  const port = await freePort();
  const args = [
    programs.npm("@modelcontextprotocol/inspector/clients/launcher/build/index.js"),
    ...["--web", "--server-url", mcpUrl, "--transport", "http", "--protocol-era", era],
  ];
  const env = {
    ...{ HOME: dir, MCP_STORAGE_DIR: dir, MCP_INSPECTOR_SECRET_STORE: "file" },
    ...{ CLIENT_PORT: String(port), MCP_SANDBOX_PORT: String(await freePort()) },
    ...{ MCP_AUTO_OPEN_ENABLED: "false", DANGEROUSLY_OMIT_AUTH: "true" },
  };
  const server = await use(startChildServer(process.execPath, args, { env }));
  await server.printed(/up and running/);
  return `http://localhost:${port}/`;
}

/** Somebody who works in one window of Chromium, and opens pages in tabs beside it. */
async function startWebUser(address: string): Promise<{ readonly user: User; readonly client: StoryClient }> {
  const chromium = await use(startBrowser("Chromium"));
  const page = await chromium.newPage();
  await page.setViewport({ width: 1_300, height: 900 });
  await page.goto(address);
  const asked: string[] = [];

  async function open(url: string) {
    const tab = await chromium.newPage();
    const answer = await tab.goto(url);
    const shown = { url: tab.url(), status: answer?.status() ?? 0, body: await tab.content() };
    await tab.close();
    return shown;
  }

  /** The dialog opens the page in a tab of its own, and waits until it is told that this is done. */
  async function follow(): Promise<void> {
    const popup = chromium.waitForTarget((target: Target) => target.opener() === page.target());
    await press(page, "Open in Browser");
    const tab = await (await popup).page();
    if (tab === null) throw new Error("no page was opened");
    asked.push(tab.url());
    await shows(tab, /crm is connected/);
    await tab.close();
    await press(page, "I've completed it");
  }

  const client: StoryClient = {
    name: "MCP Inspector",
    async start() {
      await page.locator("[role=switch]").click();
      const shown = await shows(page, /^Connected$/m, /Connect your crm account/);
      if (!/^Connected$/m.test(shown)) await page.locator("[aria-label=Dismiss]").click();
      return shown;
    },
    async call() {
      await openForm(page);
      await press(page, "Execute");
      const shown = await shows(page, /^Results$/m, /The server is requesting you visit/);
      if (/^Results$/m.test(shown)) return shown;
      await follow();
      return shows(page, /^Results$/m);
    },
  };
  return { user: { open, ask: open, asked, env: {}, stop: async () => {} }, client };
}

/** Goes on to the tool's form from wherever the page is. */
async function openForm(page: Page): Promise<void> {
  const tool = "::-p-aria([name='contacts'][role='button'])";
  const steps = ["[aria-label='Close results']", tool, "label ::-p-text(Tools)"];
  const step = async () => {
    if (await page.$("button ::-p-text(Execute)")) return true;
    for (const next of steps) {
      const found = await page.$(next);
      // It may be gone again: the page draws itself anew as answers come.
      if (found !== null) return found.click().then(undefined, () => undefined);
    }
    return undefined;
  };
  await until("the tool's form", step, { timeoutMs: 20_000, intervalMs: 200 });
}

async function press(page: Page, label: string): Promise<void> {
  await page.locator(`::-p-text(${label})`).click();
}

/** What the page shows as soon as one of these is among it. */
function shows(page: Page, ...patterns: readonly RegExp[]): Promise<string> {
  const look = async () => {
    const shown = String(await page.evaluate("document.body.innerText").catch(() => ""));
    return patterns.some((pattern) => pattern.test(shown)) ? shown : undefined;
  };
  return until(`a page that shows ${patterns.join(" or ")}`, look, { timeoutMs: 20_000 });
}

test.each([
  { era: "legacy", lost: "in the answer" },
  { era: "auto", lost: "asked" },
  { era: "modern", lost: "asked" },
] as const)(
  "the inspector's page in Chromium, $era, comes from nothing to a tool's answer with one login",
  async ({ era, lost }) => {
    const stage = await startStage(opened);
    const { user, client } = await startWebUser(await startInspector(stage, era));
    expect(await tellStory(stage, user, client)).toEqual({ first: "on connecting", lost });
  },
);
