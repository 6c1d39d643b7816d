import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import puppeteer, { type Browser } from "puppeteer-core";

export type BrowserName = "Chromium" | "Firefox";

const lookup = {
  Chromium: { variable: "CHROMIUM_BIN", names: ["chromium", "chromium-browser", "google-chrome"], package: "chromium" },
  Firefox: { variable: "FIREFOX_BIN", names: ["firefox-esr", "firefox"], package: "firefox-esr" },
} as const;

export const chromiumArguments = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
] as const;

/**
 * Starts the browser that its variable names or that is on PATH, headless, by WebDriver BiDi for Firefox; throws, saying
 * how to get one. Firefox is set to dark, since it cannot be told to change.
 */
export async function startBrowser(name: BrowserName): Promise<Browser> {
  const executablePath = pathOf(name);
  const common = { executablePath, headless: true, acceptInsecureCerts: true } as const;
  if (name === "Chromium") {
    return puppeteer.launch({ ...common, browser: "chrome", args: [...chromiumArguments] });
  }
  return puppeteer.launch({
    ...common,
    browser: "firefox",
    extraPrefsFirefox: {
      "devtools.jsonview.enabled": false,
      "layout.css.prefers-color-scheme.content-override": 0,
      "network.captive-portal-service.enabled": false,
      "network.connectivity-service.enabled": false,
    },
  });
}

/** Where the browser is; throws, saying how to get one. */
export function pathOf(name: BrowserName): string {
  const { variable, names, package: debian } = lookup[name];
  const onPath = (process.env.PATH ?? "").split(delimiter).flatMap((dir) => names.map((file) => join(dir, file)));
  const found = [process.env[variable] ?? "", ...onPath].find((path) => path !== "" && existsSync(path));
  if (found === undefined)
    throw new Error(
      `no ${name}: install one (Debian: apt-get install -y --no-install-recommends ${debian}), or set ${variable} to its path`,
    );
  return found;
}
