import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, type BrowserContext, chromium } from "playwright-core";

const names = ["chromium", "chromium-browser", "google-chrome"];

/** Starts the Chromium in CHROMIUM_BIN or on PATH, headless; throws, saying how to get one. */
export async function startChromium(): Promise<Browser> {
  return chromium.launch(options());
}

/**
 * A Chromium of its own that keeps cookies of sites in frames, as many users' browsers do. The private windows of
 * {@link startChromium} keep none, so that they would hide what only our cookies' own attributes keep out.
 *
 * @param profile an empty directory, which is the caller's to remove
 */
export async function startChromiumProfile(profile: string): Promise<BrowserContext> {
  mkdirSync(join(profile, "Default"));
  writeFileSync(
    join(profile, "Default", "Preferences"),
    JSON.stringify({ profile: { block_third_party_cookies: false, cookie_controls_mode: 0 } }),
  );
  return chromium.launchPersistentContext(profile, { ...options(), ignoreHTTPSErrors: true });
}

function options() {
  const onPath = (process.env.PATH ?? "").split(delimiter).flatMap((dir) => names.map((name) => join(dir, name)));
  const executablePath = [process.env.CHROMIUM_BIN ?? "", ...onPath].find((path) => path !== "" && existsSync(path));
  if (executablePath === undefined)
    throw new Error(
      "no Chromium: install one (Debian: apt-get install -y --no-install-recommends chromium), or set CHROMIUM_BIN to its path",
    );
  const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];
  return { executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-quic", ...quiet] };
}
