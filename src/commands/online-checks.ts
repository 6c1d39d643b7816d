import { needsFlowStores } from "../config/flow-needs.ts";
import type { Config } from "../config/schema.ts";
import type { UpstreamConfig } from "../config/upstreams-schema.ts";
import { meaningOf } from "../minted/meaning.ts";
import { firstStepOf, trialRequest } from "../minted/trial.ts";
import { type Clock, systemClock } from "../platform/clock.ts";
import { fetchProblem } from "../platform/discovery.ts";
import { messageOf } from "../platform/error.ts";
import type { FetchFor, HttpFetch } from "../platform/fetch-for.ts";
import type { GuardedFetchFor } from "../platform/guarded-fetch.ts";
import { keepNothing } from "../platform/kept-parts.ts";
import { createLog } from "../platform/log.ts";
import { type Random, systemRandom } from "../platform/random.ts";
import { Secret } from "../platform/secret.ts";
import { createOAuthProvider } from "../providers/oauth-provider.ts";
import type { RefreshOutcome } from "../providers/outcome.ts";
import { createTokenMint } from "../providers/token-mint.ts";
import { createKeySets } from "../sessions/key-sets.ts";
import type { Finding } from "./finding.ts";
import { mcpFinding } from "./online-mcp.ts";
import { secretFinding } from "./online-secret.ts";
import { storeFinding } from "./online-store.ts";

/** A server that does not answer for this long is a problem, ms. */
const patienceMs = 15_000;

interface Fetches {
  readonly fetchFor: FetchFor;
  readonly guardedFetchFor: GuardedFetchFor;
}

/**
 * Asks each issuer for its keys, each provider about our client and the store about itself: one harmless request each,
 * beside the discovery that leads to it.
 */
export function onlineFindings(config: Config, { fetchFor, guardedFetchFor }: Fetches): Promise<Finding>[] {
  const deps = { clock: systemClock(), random: systemRandom(), log: createLog({ level: "silent", format: "json" }) };
  const keys = createKeySets({
    config: config.sessions,
    fetchFor,
    ...deps,
    metrics: { fetched: () => {} },
    keep: keepNothing,
  });
  const issuers = [...keys].map(([name, set]) => {
    const path = `sessions.${name}.jwt`;
    return patiently(path, async () => {
      const result = await set.verify(unknownJwt(), {});
      if (result.kind === "unavailable")
        return { path, kind: "problem", text: `the issuer's keys cannot be had: ${result.why}` };
      return { path, kind: "ok", text: "the issuer's keys are there" };
    });
  });
  const logins = Object.keys(config.connect?.login ?? {}).map((name): Promise<Finding> => {
    return Promise.resolve({
      path: `connect.login.${name}`,
      kind: "untold",
      text: "only a login tells whether the issuer takes this client",
    });
  });
  const clientOf = (path: string, upstream: ServerUpstream) =>
    patiently(path, () => clientFinding(path, upstream, { fetch: fetchFor(upstream.ca), ...deps }));
  const exchanges = Object.entries(config.upstreams).flatMap(([name, { minted }]) => {
    const identity = minted?.kind === "crossApp" ? config.upstreams[minted.identity] : undefined;
    if (minted?.kind !== "crossApp" || identity === undefined) return [];
    if (identity.mcp !== undefined || identity.secret !== undefined) return [];
    return [clientOf(`upstreams.${name}.crossApp.identity`, { ...identity, minted: firstStepOf(minted) })];
  });
  const clients = Object.entries(config.upstreams).map(([name, upstream]): Promise<Finding> => {
    const path = `upstreams.${name}`;
    if (upstream.secret !== undefined)
      return patiently(path, () => secretFinding(path, upstream, { fetch: fetchFor(upstream.ca), ...deps }));
    if (upstream.mcp === undefined) return clientOf(path, upstream);
    const own = config.connect;
    if (own === undefined) return Promise.resolve({ path, kind: "problem", text: "needs the section connect" });
    const fetch = guardedFetchFor(upstream.ca, { configured: upstream.mcp, allowPrivate: upstream.allowInsecure });
    return patiently(path, () => mcpFinding(path, upstream, { upstream: name, own, fetch, ...deps }));
  });
  const forFlows = needsFlowStores(config);
  const store = patiently("store", () => storeFinding(config.store, forFlows, deps));
  return [...issuers, ...clients, ...exchanges, ...logins, store];
}

type ServerUpstream = Extract<UpstreamConfig, { readonly mcp: undefined }>;

interface ClientDeps {
  readonly fetch: HttpFetch;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * A refresh with a token that cannot exist: a provider that knows the client refuses the token, one that does not
 * refuses the client (RFC 6749 §5.2).
 */
async function clientFinding(
  path: string,
  upstream: ServerUpstream,
  { fetch, clock, random }: ClientDeps,
): Promise<Finding> {
  let isAnswered = false;
  let problem: string | undefined;
  const watched: HttpFetch = async (url, init) => {
    const isPost = init?.method === "POST";
    const response = await fetch(url, init).catch((error: unknown) => {
      if (isPost) problem = `${String(url)}: ${fetchProblem(error)}`;
      throw error;
    });
    if (isPost) isAnswered = true;
    return response;
  };
  const unknownToken = `bearerswap-check-${random.id()}`;
  const outcome =
    upstream.minted === undefined
      ? await createOAuthProvider({ config: upstream, fetch: watched, clock }).refresh({
          refreshToken: new Secret(unknownToken),
          beforeSend: () => true,
        })
      : await createTokenMint({ config: upstream, fetch: watched, clock, timeoutMs: patienceMs })(
          trialRequest(upstream.minted, unknownToken),
        );
  const finding = mintFinding(path, upstream, outcome);
  if (finding !== undefined) return finding;
  switch (outcome.kind) {
    case "refused":
      return {
        path,
        kind: "ok",
        text: `the provider takes the client: it refused a made-up refresh token, and not the client (${outcome.why})`,
      };
    case "misconfigured":
      return {
        path,
        kind: "problem",
        text: `the provider refuses the client or what it sends: check clientId, its secret or key, clientAuth and parameters (${outcome.why})`,
      };
    case "tokens":
      return {
        path,
        kind: "untold",
        text: "the provider answered a made-up refresh token with tokens, which does not tell whether it takes the client",
      };
    case "transient":
    case "unknown":
      if (!isAnswered)
        return { path, kind: "problem", text: `the provider cannot be asked: ${problem ?? outcome.why}` };
      return {
        path,
        kind: "untold",
        text: `the provider is there, and its answer does not tell whether it takes the client (${outcome.why})`,
      };
    default:
      return outcome satisfies never;
  }
}

/**
 * Always said of the grant (RFC 6749 §5.2), here the made-up token: also where the upstream's `errors` say that it
 * means our own mistake, as for an assertion whose signature is refused.
 */
const invalidGrant = "invalid_grant";

/** What only a mint's outcome tells: one by our client alone works or does not. */
function mintFinding(
  path: string,
  { minted, clientAuth }: ServerUpstream,
  outcome: RefreshOutcome,
): Finding | undefined {
  if (minted === undefined) return undefined;
  const { kind } = minted;
  if (kind === "clientCredentials") {
    if (outcome.kind === "tokens") return { path, kind: "ok", text: `the provider gave a token by ${kind}` };
    if (outcome.kind !== "refused") return undefined;
    return { path, kind: "problem", text: `the provider refuses ${kind} (${outcome.why})` };
  }
  const asked = { ofSessions: true, isExchange: kind === "exchange" };
  if (outcome.kind === "tokens" || !(meaningOf(outcome, asked) === "subject" || outcome.why === invalidGrant))
    return undefined;
  if (clientAuth.method === "unsent")
    return { path, kind: "untold", text: `the provider is there, and refused a made-up assertion (${outcome.why})` };
  const text = `the provider takes the client: it refused a made-up token, and not the client (${outcome.why})`;
  return { path, kind: "ok", text };
}

/** A JWT that no key has signed. Finding that out takes the issuer's keys. */
function unknownJwt(): string {
  const part = (content: object) => Buffer.from(JSON.stringify(content)).toString("base64url");
  return `${part({ alg: "RS256", kid: "bearerswap-check" })}.${part({})}.${Buffer.alloc(256).toString("base64url")}`;
}

async function patiently(path: string, ask: () => Promise<Finding>): Promise<Finding> {
  const { promise, resolve } = Promise.withResolvers<Finding>();
  const timer = setTimeout(
    () => resolve({ path, kind: "problem", text: `no answer within ${patienceMs / 1_000} s` }),
    patienceMs,
  );
  try {
    return await Promise.race([ask(), promise]);
  } catch (error) {
    return { path, kind: "problem", text: `unexpected: ${messageOf(error)}` };
  } finally {
    clearTimeout(timer);
  }
}
