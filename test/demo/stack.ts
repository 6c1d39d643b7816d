import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEnvoy } from "../support/envoy-process.ts";
import { type OidcServer, startOidcServer } from "../support/oidc-server.ts";
import { freePort } from "../support/redis-server.ts";
import type { Resources } from "../support/tracked-resources.ts";
import { tokenHash } from "../support/upstream-api.ts";
import { type Bearerswap, loggedSession, pagePath, startBearerswap, upstream } from "./bearerswap.ts";
import { envoyConfig } from "./envoy-config.ts";
import { startNodeChild } from "./node-child.ts";
import type { RefreshWatch } from "./refresh-watch.ts";
import { startWatchedApi, type WatchedApi } from "./watched-api.ts";

/** All that the demo runs, with one session logged in. */
export interface Stack {
  readonly oidc: OidcServer;
  readonly bearerswap: Bearerswap;
  readonly api: WatchedApi;
  /** Where clients send their requests. */
  readonly envoyUrl: string;
  /**
   * Where people connect an account with a browser: by the name localhost, as browsers keep cookies that are marked
   * Secure there without TLS.
   */
  readonly page: string;
  /** The session: whoever sends this is logged in. */
  readonly credential: string;
  readonly sessionFile: string;
  /** What `grants put` printed. */
  readonly stored: string;
  /** Resolves when a server has ended by itself, to a sentence about it. */
  readonly crashed: Promise<string>;
}

export interface StackOptions {
  readonly opened: Resources;
  readonly stop: AbortSignal;
  readonly watch: RefreshWatch;
  readonly print: (line: string) => void;
  readonly tokenLifeSeconds: number;
}

export const friendlyPort = 10_000;
const account = "demo-user";

/**
 * Starts each server with the addresses of those before it. Throws as soon as it can when `stop` is given; what was
 * opened by then is in `opened`.
 */
export async function startStack({ opened, stop, watch, print, tokenLifeSeconds }: StackOptions): Promise<Stack> {
  const dir = temporaryDir();
  await haveEnvoy(stop, print);
  const credential = randomBytes(32).toString("base64url");
  const sessionFile = join(dir, "session");
  await writeFile(sessionFile, credential, { mode: 0o600 });

  const port = await portOrFree(friendlyPort);
  const publicUrl = `http://localhost:${port}`;
  const page = `${publicUrl}${pagePath}`;
  const oidc = await opened.use(
    startOidcServer({ accessTokenLifeSeconds: tokenLifeSeconds, redirectUris: [`${page}callback`], asksUsers: true }),
  );
  const api = await opened.use(startWatchedApi({ oidc, account, credential, watch }));
  stop.throwIfAborted();
  const bearerswap = await opened.use(
    startBearerswap({ dir, issuer: oidc.issuer, client: oidc.client, publicUrl, onLog: watch.logged }),
  );
  stop.throwIfAborted();
  const config = envoyConfig({ port, checkPort: bearerswap.checkPort, apiPort: api.port, upstream });
  const envoy = await opened.use(startEnvoy({ config }));
  stop.throwIfAborted();
  const crashed = Promise.race([
    bearerswap.ended.then((errors) => `bearerswap ended by itself.\n${lastLines(errors)}`.trim()),
    envoy.exited.then(() => `Envoy ended by itself.\n${lastLines(envoy.output())}`),
  ]);

  const sentAt = Date.now();
  const tokens = await oidc.login({ account });
  // The response alone does not tell when it was given, and these tokens are old in a second.
  const expires_at = Math.floor(sentAt / 1_000) + tokens.expires_in;
  watch.loggedIn(loggedSession(credential), tokenHash(tokens.access_token), expires_at * 1_000);
  const stored = await bearerswap.putGrant(sessionFile, { ...tokens, expires_at });
  stop.throwIfAborted();
  return {
    oidc,
    bearerswap,
    api,
    envoyUrl: `http://127.0.0.1:${port}`,
    page,
    credential,
    sessionFile,
    stored,
    crashed,
  };
}

/** For all temporary files, the servers' own too; gone when this process is. */
export function temporaryDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "bearerswap-demo-"));
  process.env.TMPDIR = dir;
  process.once("exit", () => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Finds Envoy or fetches it. */
export async function haveEnvoy(stop: AbortSignal, print: (line: string) => void): Promise<void> {
  const lookup = startNodeChild(["test/demo/envoy-lookup.ts"], { withChildren: true });
  const notice = setTimeout(() => print("Fetching Envoy, this once ..."), 2_000);
  const interrupt = () => void lookup.stop("SIGINT");
  stop.addEventListener("abort", interrupt);
  const code = await lookup.ended;
  clearTimeout(notice);
  stop.removeEventListener("abort", interrupt);
  stop.throwIfAborted();
  if (code !== 0) throw new Error(`there is no Envoy to run. ${lookup.errors()}`);
}

export function lastLines(text: string): string {
  return text.trim().split("\n").slice(-3).join("\n");
}

/** This port where nobody listens, else a free one: bearerswap's configuration names it before Envoy has it. */
export async function portOrFree(port: number): Promise<number> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(freePort()));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(port)));
  });
}
