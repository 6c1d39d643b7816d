import type { Row } from "./panels.ts";
import type { Queries } from "./queries.ts";

/** How users' accounts come and go. */
export function connectRows(queries: Queries): readonly Row[] {
  return [logins(queries), ends(queries)];
}

function logins({ rate, perMinute, share, gauge }: Queries): Row {
  const loginNeeded = ["session_missing", "session_invalid", "grant_missing", "grant_refused"];
  return {
    title: "Logins",
    panels: [
      {
        title: "Logins by result",
        says: "Users who came back from a provider, in a minute. failed: they logged in and got no grant; the log's connect_failed lines say why. denied is theirs or the provider's choice. Many refused: somebody may be passing login links on.",
        open: "docs/operations.md#bearerswaploginsfailing",
        ...{ kind: "time", unit: "cpm", isStacked: true },
        queries: [{ expr: perMinute("bearerswap_logins_total", { by: ["result"] }), legend: "{{result}}" }],
      },
      {
        title: "Failed logins, by upstream",
        says: "The part of returning users who got no grant. One upstream: its client secret, redirect URI or provider. All: the store.",
        open: "docs/operations.md#bearerswaploginsfailing",
        ...{ kind: "time", unit: "percentunit", bad: { from: [0.1, 0.5] } },
        queries: [
          {
            expr: share("bearerswap_logins_total", { by: ["upstream"], where: { result: ["failed"] } }),
            legend: "{{upstream}}",
          },
        ],
      },
      {
        title: "Connected, by upstream",
        says: "Accounts connected in a minute. A peak after grants died is users who log in again.",
        open: "docs/connect.md#how-a-login-runs",
        ...{ kind: "time", unit: "cpm", isStacked: true },
        queries: [
          {
            expr: perMinute("bearerswap_logins_total", { by: ["upstream"], where: { result: ["connected"] } }),
            legend: "{{upstream}}",
          },
        ],
      },
      {
        title: "Requests that need a login",
        says: "Checks in a minute that were denied for want of a session or an account. A rise without new users: the issuer's tokens are not taken (session_invalid), or grants have died (grant_refused).",
        open: "docs/verdicts.md",
        ...{ kind: "time", unit: "cpm", isStacked: true },
        queries: [
          {
            expr: perMinute("bearerswap_checks_total", { by: ["reason"], where: { reason: loginNeeded } }),
            legend: "{{reason}}",
          },
        ],
      },
      {
        title: "Pages",
        says: "Requests for our own pages, of all upstreams. Many without logins: users do not get through the provider, or somebody tries addresses.",
        open: "docs/connect.md#the-addresses",
        ...{ kind: "time", unit: "reqps" },
        queries: [
          {
            expr: rate("bearerswap_checks_total", { where: { reason: ["connect"] }, isOfNoUpstream: true }),
            legend: "pages",
          },
        ],
      },
      {
        title: "Wider scopes",
        says: "APIs' answers that want another scope (403), in a minute. repeated: users were asked and did not agree, or the provider did not give it. nothing_new: what the API wants is not in connect.stepUp.scopes.",
        open: "docs/step-up.md#what-it-does-not-do",
        ...{ kind: "time", unit: "cpm", isStacked: true },
        queries: [
          {
            expr: perMinute("bearerswap_step_ups_total", { by: ["upstream", "result"] }),
            legend: "{{upstream}} {{result}}",
          },
        ],
      },
      {
        title: "Registrations at MCP servers",
        says: "Clients of ours that registered themselves, in a minute. failed: the server's provider does not register us; grants that exist keep their client.",
        open: "docs/operations.md#bearerswapregistrationsfailing",
        ...{ kind: "time", unit: "cpm" },
        queries: [
          {
            expr: perMinute("bearerswap_registrations_total", { by: ["upstream", "result"] }),
            legend: "{{upstream}} {{result}}",
          },
        ],
      },
      {
        title: "Sessions remembered",
        says: "Verified JWTs and sessions of our own, over all instances. A flat line at instances × cache.maxSessions is a full cache, and each further session costs a verification or a store call.",
        open: "docs/connect.md#what-is-kept",
        ...{ kind: "time", unit: "short" },
        queries: [{ expr: gauge("sum", "bearerswap_session_cache_entries", { by: ["source"] }), legend: "{{source}}" }],
      },
    ],
  };
}

function ends({ perMinute }: Queries): Row {
  return {
    title: "Ends and administration",
    panels: [
      {
        title: "Tokens ended at providers",
        says: "In a minute. unconfirmed: here they have ended, and the provider did not say that there they have too; where it matters, end the access there by hand. none: it cannot be asked.",
        open: "docs/operations.md#bearerswaprevocationsunconfirmed",
        ...{ kind: "time", unit: "cpm", isStacked: true },
        queries: [
          {
            expr: perMinute("bearerswap_revocations_total", { by: ["upstream", "result"] }),
            legend: "{{upstream}} {{result}}",
          },
        ],
      },
      {
        title: "Logouts by issuers",
        says: "Logout tokens in a minute. invalid: refused, so a session that ended there goes on here; the log says why. unavailable: the issuer has to send it again.",
        open: "docs/operations.md#logout-from-the-issuer",
        ...{ kind: "time", unit: "cpm" },
        queries: [
          { expr: perMinute("bearerswap_backchannel_logouts_total", { by: ["outcome"] }), legend: "{{outcome}}" },
        ],
      },
      {
        title: "Calls of the grants service",
        says: "In a minute, by gRPC status. Failing put: whatever does your logins gets no grants stored. Calls that you do not know: somebody reaches the admin socket.",
        open: "docs/operations.md#grants",
        ...{ kind: "time", unit: "cpm" },
        queries: [
          {
            expr: perMinute("bearerswap_admin_calls_total", { by: ["method", "code"] }),
            legend: "{{method}} {{code}}",
          },
        ],
      },
      {
        title: "Grants that died",
        says: "In a minute: the provider refused the refresh token. These users are asked to log in again, and should show up under Logins soon after.",
        open: "docs/operations.md#bearerswapdeadgrants",
        ...{ kind: "time", unit: "cpm" },
        queries: [{ expr: perMinute("bearerswap_dead_grants_total", { by: ["upstream"] }), legend: "{{upstream}}" }],
      },
    ],
  };
}
