import { styleText } from "node:util";
import { source } from "./bearerswap.ts";
import type { PageVisit } from "./page-visit.ts";
import type { Stack } from "./stack.ts";
import type { Traffic } from "./traffic.ts";

type Counts = Pick<Traffic, "requests" | "ok" | "failures">;

/** What a run came to. */
export interface Outcome {
  readonly lastedMs: number;
  readonly traffic: Counts;
  /** By bearerswap's log. */
  readonly refreshes: number;
  readonly logins: number;
  /** By the provider's count, logins included. */
  readonly tokenRequests: number;
  /** How the visit to the page ended, where one was made. */
  readonly visit: PageVisit | undefined;
  /** Requests that were healed after the API had revoked a token, where that was part of the run. */
  readonly healed: number | undefined;
  /** By the upstream API's. */
  readonly api: { readonly requests: number; readonly leaks: number };
  /** A server that ended by itself. */
  readonly crash: string | undefined;
}

/** What runs where, and what to try. */
export function bannerOf(
  { oidc, api, bearerswap, envoyUrl, page, credential, sessionFile, stored }: Stack,
  { tokenLifeSeconds, seconds }: { tokenLifeSeconds: number; seconds: number | undefined },
): string {
  const session = `--admin ${bearerswap.admin} --source ${source} --session-file ${sessionFile}`;
  return `
  OpenID provider  ${oidc.issuer}  access tokens live ${tokenLifeSeconds} s, refresh tokens are used once
  upstream API     ${api.url}  accepts only tokens that are live at the provider
  bearerswap       ${bearerswap.probes}/readyz  ${bearerswap.configFile}
  Envoy            ${envoyUrl}  asks bearerswap about every request

One user has logged in. Her tokens went to bearerswap by
  npm run bearerswap -- grants put ${session} --upstream demo
${stored.replace(/^/gm, "    ")}

Try it from another terminal; the same session credential works for as long as this runs:
  ${styleText("bold", `curl -H 'Authorization: Bearer ${credential}' ${envoyUrl}/hello`)}
  npm run bearerswap -- grants list ${session}

Or connect an account yourself. Open this in a browser on this machine, and then ${new URL("/hello", page)}:
  ${styleText("bold", page)}

${seconds === undefined ? "Press r to let the API revoke the access token before its time. Requests flow until Ctrl-C:" : `Requests flow for ${seconds} s:`}`;
}

/** `34 requests, all 200` */
export function countsOf({ requests, ok, failures }: Counts): string {
  if (ok === requests) return `${requests} requests, all 200`;
  return styleText("red", `${requests} requests, ${ok} with 200, ${listOf(failures)}`);
}

export function summaryOf(outcome: Outcome): string {
  const { lastedMs, traffic, refreshes, logins, tokenRequests, visit, api } = outcome;
  const problems = problemsOf(outcome);
  return `
Summary
  requests            ${traffic.requests} through Envoy in ${(lastedMs / 1_000).toFixed(0)} s
  200s                ${traffic.ok}
  refreshes           ${refreshes}
  provider calls      ${tokenRequests - logins} to refresh, ${logins} to log in
${visit === undefined ? "" : `  the page            ${wordsFor(visit)}\n`}${outcome.healed === undefined ? "" : `  healed              ${outcome.healed} after the API had revoked an access token\n`}  session credential  in ${api.leaks} of the ${api.requests} requests that reached the upstream API
${problems.length === 0 ? styleText("green", "OK: every request was answered with 200, and every refresh took one call.") : styleText("red", `FAILED: ${problems.join("\n        ")}`)}`;
}

/** Why a run counts as failed, a sentence each. */
export function problemsOf({
  traffic,
  refreshes,
  logins,
  tokenRequests,
  visit,
  healed,
  api,
  crash,
}: Outcome): string[] {
  const calls = tokenRequests - logins;
  return [
    ...(crash === undefined ? [] : [crash]),
    ...(traffic.requests === 0 ? ["no request was answered."] : []),
    ...(traffic.ok === traffic.requests
      ? []
      : [
          `${traffic.requests - traffic.ok} of ${traffic.requests} requests were not 200: ${listOf(traffic.failures)}.`,
        ]),
    ...(calls === refreshes ? [] : [`provider calls to refresh: ${calls}, refreshes: ${refreshes}.`]),
    ...(visit?.kind === "failed" ? [`an account could not be connected at the page: ${visit.why}.`] : []),
    ...(healed === 0 ? ["no request was healed after the API had revoked an access token."] : []),
    ...(api.leaks === 0 ? [] : [`the upstream API got a session credential ${api.leaks} times.`]),
  ];
}

function wordsFor(visit: PageVisit): string {
  return visit.kind === "connected" ? "led to the provider and back; the cookie it gave brought 200" : "did not work";
}

function listOf(failures: ReadonlyMap<string, number>): string {
  return [...failures].map(([what, count]) => `${count} with ${what}`).join(", ");
}
