import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium } from "playwright-core";
import { chromiumArguments, pathOf } from "./browsers.ts";

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
  return { executablePath: pathOf("Chromium"), args: [...chromiumArguments] };
}
