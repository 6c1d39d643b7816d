import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";

const names = ["chromium", "chromium-browser", "google-chrome"];

/** Starts the Chromium in CHROMIUM_BIN or on PATH, headless; throws, saying how to get one. */
export function startChromium(): Promise<Browser> {
  const onPath = (process.env.PATH ?? "").split(delimiter).flatMap((dir) => names.map((name) => join(dir, name)));
  const executablePath = [process.env.CHROMIUM_BIN ?? "", ...onPath].find((path) => path !== "" && existsSync(path));
  if (executablePath === undefined)
    throw new Error("no Chromium: install one (Debian: apt-get install -y --no-install-recommends chromium), or set CHROMIUM_BIN to its path");
  const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-quic", ...quiet] });
}
