import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hashSession, shortHash } from "../../src/stores/grant.ts";
import type { OidcClient, OidcTokens } from "../support/oidc-login.ts";
import { until } from "../support/until.ts";
import { startNodeChild } from "./node-child.ts";

/** One line of bearerswap's JSON log, as far as the demo reads it. */
export interface LogLine {
  readonly event?: string;
  readonly level: string;
  /** ISO 8601. */
  readonly time: string;
  readonly msg: string;
  readonly reason?: string;
  readonly upstream?: string;
  /** Of `client_registered`. */
  readonly clientId?: string;
  /** A hash, as `loggedSession` makes it. */
  readonly session?: string;
  /** Of `listening`: host:port each. */
  readonly grpc?: string;
  readonly http?: string;
  /** Of `refresh`: a request that needs a token, or one answered with a token near its end. */
  readonly trigger?: "expired" | "ahead" | "rejected";
  readonly outcome?: string;
  readonly durationMs?: number;
}

export interface BearerswapOptions {
  /** For its configuration and its admin socket. */
  readonly dir: string;
  readonly issuer: string;
  readonly client: OidcClient;
  /** Where browsers reach Envoy. */
  readonly publicUrl: string;
  readonly onLog: (line: LogLine) => void;
}

/** The real `bearerswap serve`, ready. */
export interface Bearerswap {
  readonly configFile: string;
  readonly checkPort: number;
  readonly probes: string;
  readonly admin: string;
  /** Hands the login's outcome over by `bearerswap grants put`; resolves to what that prints. */
  putGrant(sessionFile: string, tokens: OidcTokens & { readonly expires_at: number }): Promise<string>;
  /** Resolves when it has ended, for whatever reason, to what it wrote to stderr. */
  readonly ended: Promise<string>;
  /** Lets a refresh under way finish. */
  stop(): Promise<void>;
}

/** The name that the API has in the configuration. */
export const upstream = "demo";
/** Where people connect their accounts: below the address at which browsers reach Envoy. */
export const pagePath = "/_bearerswap/";
/** The name that the session of the curl has there. */
export const source = "demo";
const secretVariable = "DEMO_CLIENT_SECRET";

export async function startBearerswap({
  dir,
  issuer,
  client,
  publicUrl,
  onLog,
}: BearerswapOptions): Promise<Bearerswap> {
  const configFile = join(dir, "bearerswap.yaml");
  const admin = `unix:${join(dir, "admin.sock")}`;
  await writeFile(configFile, configOf({ admin, issuer, clientId: client.id, publicUrl }));
  const serving = await serveBearerswap(configFile, { env: { [secretVariable]: client.secret }, onLog });
  const putGrant: Bearerswap["putGrant"] = (sessionFile, tokens) => put(admin, sessionFile, tokens);
  return { configFile, admin, putGrant, ...serving };
}

/** A process `bearerswap serve`, ready. */
export type ServingBearerswap = Pick<Bearerswap, "checkPort" | "probes" | "ended" | "stop">;

/** Serves a configuration whose listeners are on loopback. */
export async function serveBearerswap(
  configFile: string,
  { env, onLog }: { readonly env: Readonly<Record<string, string>>; readonly onLog: (line: LogLine) => void },
): Promise<ServingBearerswap> {
  const listening = Promise.withResolvers<LogLine>();
  const child = startNodeChild(["src/main.ts", "serve", "--config", configFile], {
    env,
    onLine: (text) => {
      const line = JSON.parse(text) as LogLine;
      if (line.event === "listening") listening.resolve(line);
      onLog(line);
    },
  });
  try {
    const failure = child.ended.then(() => Promise.reject(new Error(`bearerswap did not start: ${child.errors()}`)));
    const { grpc = "", http = "" } = await Promise.race([listening.promise, failure]);
    const probes = `http://${http}`;
    await Promise.race([until("bearerswap's /readyz", () => answersOk(`${probes}/readyz`)), failure]);
    failure.catch(() => {});
    const ended = child.ended.then(child.errors);
    return { checkPort: Number(grpc.split(":").at(-1)), probes, ended, stop: child.stop };
  } catch (error) {
    await child.stop();
    throw error;
  }
}

/** How the log names the session that has this credential. */
export function loggedSession(credential: string): string {
  return shortHash(hashSession(source, credential));
}

interface Addresses {
  readonly admin: string;
  readonly issuer: string;
  readonly clientId: string;
  readonly publicUrl: string;
}

function configOf({ admin, issuer, clientId, publicUrl }: Addresses): string {
  return `# The demo's configuration, written anew by each run.
listen:
  grpc: 127.0.0.1:0         # where Envoy asks; port 0 takes any free one
  http: 127.0.0.1:0         # /livez and /readyz
  admin: ${admin}
sessions:
  - name: ${source}           # the session of the curl
    opaque: {from: {header: authorization}}
  - cookie: {issue: true}     # sessions of our own, for people who come with a browser
connect:
  publicUrl: ${publicUrl}     # where browsers reach Envoy; the page is at ${pagePath}
heal: {}                    # an API's 401 is cured in the same request
store:
  memory: {}
upstreams:
  ${upstream}:
    issuer: ${issuer}
    clientId: ${clientId}
    clientSecret: \${env:${secretVariable}}
    connect: {scope: openid offline_access, parameters: {prompt: consent}}
`;
}

async function put(admin: string, sessionFile: string, tokens: object): Promise<string> {
  const printed: string[] = [];
  const args = [
    "src/main.ts",
    "grants",
    "put",
    "--admin",
    admin,
    "--source",
    source,
    "--session-file",
    sessionFile,
    "--upstream",
    upstream,
  ];
  const child = startNodeChild(args, { input: JSON.stringify(tokens), onLine: (line) => void printed.push(line) });
  const code = await child.ended;
  if (code !== 0) throw new Error(`bearerswap grants put failed: ${child.errors()}`);
  return printed.join("\n");
}

async function answersOk(url: string): Promise<boolean> {
  const response = await fetch(url);
  await response.body?.cancel();
  return response.ok;
}
