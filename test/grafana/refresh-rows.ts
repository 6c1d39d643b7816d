import type { Row } from "./panels.ts";
import type { Queries } from "./queries.ts";

/** What providers answer, what that costs users, and how replicas share the work. */
export function refreshRows(queries: Queries): readonly Row[] {
  return [refreshes(queries), users(queries), replicas(queries), rejections(queries), mints(queries)];
}

const failed = ["misconfigured", "transient", "unknown"];

function refreshes({ rate, perMinute, share, quantile, gauge }: Queries): Row {
  return {
    title: "Refreshes",
    panels: [
      {
        title: "Refreshes by ending",
        says: "refreshed is good. transient: not carried out (429, an OAuth error, no connection). unknown: it may have been (timeouts, 5xx). misconfigured: the provider refuses our client. refused: that user has to log in again.",
        open: "docs/refresh-protocol.md#how-a-refresh-can-end",
        ...{ kind: "time", unit: "ops", isStacked: true },
        queries: [{ expr: rate("bearerswap_refreshes_total", { by: ["ending"] }), legend: "{{ending}}" }],
      },
      {
        title: "Failed refreshes, by upstream",
        says: "The part that ended as transient, unknown or misconfigured. The provider is down, slow or limits us; tokens that are still good are served, and attempts are repeated. misconfigured needs you: a secret or a client there.",
        open: "docs/operations.md#bearerswaprefreshesfailing",
        ...{ kind: "time", unit: "percentunit", bad: { from: [0.2, 0.5] } },
        queries: [
          {
            expr: share("bearerswap_refreshes_total", { by: ["upstream"], where: { ending: failed } }),
            legend: "{{upstream}}",
          },
        ],
      },
      {
        title: "Our client refused, by upstream",
        says: "The part of refreshes that the provider refused because of us, not of users: a client secret was rotated or has expired, a client was disabled. Anything above zero needs a correction of the configuration.",
        open: "docs/operations.md#bearerswapclientmisconfigured",
        ...{ kind: "time", unit: "percentunit", bad: { from: [0.01, 0.01] } },
        queries: [
          {
            expr: share("bearerswap_refreshes_total", { by: ["upstream"], where: { ending: ["misconfigured"] } }),
            legend: "{{upstream}}",
          },
        ],
      },
      {
        title: "Why tokens are refreshed",
        says: "ahead is usual: in the background, before need. Much expired: users wait, since sessions rest longer than tokens live, or refreshes come too late. rejected: the API said 401 to a live token.",
        open: "docs/refresh-protocol.md#one-refresh",
        ...{ kind: "time", unit: "ops", isStacked: true },
        queries: [{ expr: rate("bearerswap_refreshes_total", { by: ["trigger"] }), legend: "{{trigger}}" }],
      },
      {
        title: "Time of refreshes",
        says: "What the provider takes. Users wait that long where a token had expired. Near refresh.timeout, endings turn to unknown.",
        open: "docs/operations.md#bearerswaprefreshesfailing",
        ...{ kind: "time", unit: "s" },
        queries: [
          {
            expr: quantile(0.5, "bearerswap_refresh_duration_seconds", { by: ["upstream"] }),
            legend: "p50 {{upstream}}",
          },
          {
            expr: quantile(0.99, "bearerswap_refresh_duration_seconds", { by: ["upstream"] }),
            legend: "p99 {{upstream}}",
          },
        ],
      },
      {
        title: "Under way, and waiting",
        says: "Refreshes under way and requests that wait for one, over all instances. Waiters that do not go down: the provider hangs, or its slots are too few.",
        open: "docs/operations.md#bearerswapchecksslow",
        ...{ kind: "time", unit: "short" },
        queries: [
          { expr: gauge("sum", "bearerswap_flights", { by: ["upstream"] }), legend: "refreshes, {{upstream}}" },
          { expr: gauge("sum", "bearerswap_waiters", { by: ["upstream"] }), legend: "waiters, {{upstream}}" },
        ],
      },
      {
        title: "Breaker open",
        says: "The part of instances that leave the provider alone for a while after many failures. It closes by itself; a restart only loses what was learnt.",
        open: "docs/operations.md#bearerswapbreakeropen",
        ...{ kind: "time", unit: "percentunit", bad: { from: [0.01, 0.01] } },
        queries: [
          {
            expr: gauge("avg", "bearerswap_breaker_state", { by: ["upstream"], where: { state: ["open"] } }),
            legend: "{{upstream}}",
          },
        ],
      },
      {
        title: "Waits after failures",
        says: "Failed refreshes in a minute after which all replicas wait before they try that grant again. It goes with failed refreshes and ends with them.",
        open: "docs/operations.md#bearerswaprefreshesfailing",
        ...{ kind: "time", unit: "cpm" },
        queries: [{ expr: perMinute("bearerswap_back_offs_total", { by: ["upstream"] }), legend: "{{upstream}}" }],
      },
    ],
  };
}

function users({ perMinute, gauge }: Queries): Row {
  return {
    title: "What costs logins, or may",
    panels: [
      {
        title: "Grants that died",
        says: "In a minute: the provider refused the refresh token, and that user has to log in again. A few are usual. Many at once: somebody revoked them, another system uses the same tokens, or reuse is being punished.",
        open: "docs/operations.md#bearerswapdeadgrants",
        ...{ kind: "time", unit: "cpm" },
        queries: [{ expr: perMinute("bearerswap_dead_grants_total", { by: ["upstream"] }), legend: "{{upstream}}" }],
      },
      {
        title: "Failing grants",
        says: "Grants whose refreshes have failed for an hour without a refusal that we know, as the instance that sees most of them counts.",
        open: "docs/operations.md#bearerswapgrantsfailing",
        ...{ kind: "time", unit: "short", bad: { from: [1, 1] } },
        queries: [{ expr: gauge("max", "bearerswap_failing_grants", { by: ["upstream"] }), legend: "{{upstream}}" }],
      },
      {
        title: "Commits repeated",
        says: "In a minute: the provider has rotated a token and the store does not take the new one. Bring the store back. Do NOT restart or scale down bearerswap before this is zero, or these users have to log in again.",
        open: "docs/operations.md#bearerswapcommitretries",
        ...{ kind: "time", unit: "cpm", bad: { from: [0.01, 0.01] } },
        queries: [{ expr: perMinute("bearerswap_commit_retries_total", { by: ["upstream"] }), legend: "{{upstream}}" }],
      },
      {
        title: "Presented again",
        says: "In a minute: refresh tokens shown again although an earlier attempt may have used them. Look for what cuts the way to the provider: proxies, time limits, restarts.",
        open: "docs/operations.md#bearerswaprepeatedpresentations",
        ...{ kind: "time", unit: "cpm" },
        queries: [
          { expr: perMinute("bearerswap_repeated_presentations_total", { by: ["upstream"] }), legend: "{{upstream}}" },
        ],
      },
      {
        title: "Unexpected rotations",
        says: "In a minute: the configuration says that the provider never rotates, and it did. Take `rotates` out.",
        open: "docs/operations.md#bearerswapunexpectedrotation",
        ...{ kind: "time", unit: "cpm", bad: { from: [0.01, 0.01] } },
        queries: [
          { expr: perMinute("bearerswap_unexpected_rotations_total", { by: ["upstream"] }), legend: "{{upstream}}" },
        ],
      },
    ],
  };
}

function replicas({ perMinute }: Queries): Row {
  const by = { by: ["upstream"] };
  return {
    title: "Replicas among themselves",
    panels: [
      {
        title: "Shared refreshes",
        says: "In a minute. busy: another attempt held the lease, and this one waited. adopted: another replica's newer token was served. Both are the protocol at work.",
        open: "docs/refresh-protocol.md#one-refresh",
        ...{ kind: "time", unit: "cpm" },
        queries: [
          { expr: perMinute("bearerswap_lease_busy_total", by), legend: "busy, {{upstream}}" },
          { expr: perMinute("bearerswap_tokens_adopted_total", by), legend: "adopted, {{upstream}}" },
        ],
      },
      {
        title: "Leases lost",
        says: "In a minute: a refresh outlived its lease, so that another replica may have begun one. A single one after a failover needs nothing; else look at the store's and the event loop's times.",
        open: "docs/operations.md#bearerswapleaselost",
        ...{ kind: "time", unit: "cpm", bad: { from: [0.01, 0.01] } },
        queries: [{ expr: perMinute("bearerswap_leases_lost_total", by), legend: "{{upstream}}" }],
      },
      {
        title: "Written back, and held back",
        says: "In a minute. written back: new tokens stored once more after a failover of the store. not sent: refreshes that a short lease or a failover forbade. Both belong to a failover; without one, look at the store.",
        open: "docs/refresh-protocol.md#when-the-store-goes-back",
        ...{ kind: "time", unit: "cpm" },
        queries: [
          { expr: perMinute("bearerswap_recommits_total", by), legend: "written back, {{upstream}}" },
          { expr: perMinute("bearerswap_not_dispatched_total", by), legend: "not sent, {{upstream}}" },
        ],
      },
    ],
  };
}

function rejections({ perMinute, share }: Queries): Row {
  return {
    title: "APIs that refuse tokens",
    panels: [
      {
        title: "401s of APIs",
        says: "In a minute. rejected: the token is replaced. held: replacing did not help, so users lack a permission, or scope or audience are wrong; nothing is lost.",
        open: "docs/operations.md#bearerswaprejectionsheld",
        ...{ kind: "time", unit: "cpm", isStacked: true },
        queries: [
          {
            expr: perMinute("bearerswap_rejections_total", { by: ["upstream", "result"] }),
            legend: "{{upstream}} {{result}}",
          },
        ],
      },
      {
        title: "Requests sent again",
        says: "In a minute. healed: with another token, and the client saw no 401. unchanged: with the same one. denied: no token can be had, and the client is answered in the API's place.",
        open: "docs/healing.md#what-happens",
        ...{ kind: "time", unit: "cpm", isStacked: true },
        queries: [
          {
            expr: perMinute("bearerswap_retries_total", { by: ["upstream", "result"] }),
            legend: "{{upstream}} {{result}}",
          },
        ],
      },
      {
        title: "Rejections that no refresh cures",
        says: "The part of 401s that is held. High for one upstream: compare the scope and the audience of its tokens with what the API wants.",
        open: "docs/operations.md#bearerswaprejectionsheld",
        ...{ kind: "time", unit: "percentunit", bad: { from: [0.5, 0.9] } },
        queries: [
          {
            expr: share("bearerswap_rejections_total", { by: ["upstream"], where: { result: ["held"] } }),
            legend: "{{upstream}}",
          },
        ],
      },
    ],
  };
}

function mints({ perMinute, share, quantile }: Queries): Row {
  return {
    title: "Minted tokens",
    panels: [
      {
        title: "Mints by result",
        says: "In a minute. minted: the provider gave one. shared: another replica had one. refused is about a user, misconfigured about our client; transient and unknown are the provider's trouble.",
        open: "docs/credentials.md#minted-tokens",
        ...{ kind: "time", unit: "cpm", isStacked: true },
        queries: [
          {
            expr: perMinute("bearerswap_mints_total", { by: ["upstream", "result"] }),
            legend: "{{upstream}} {{result}}",
          },
        ],
      },
      {
        title: "Failed mints, by upstream",
        says: "The part that ended as misconfigured, transient or unknown. Nothing is used up: each next request tries again.",
        open: "docs/operations.md#bearerswaprefreshesfailing",
        ...{ kind: "time", unit: "percentunit", bad: { from: [0.2, 0.5] } },
        queries: [
          {
            expr: share("bearerswap_mints_total", { by: ["upstream"], where: { result: failed } }),
            legend: "{{upstream}}",
          },
        ],
      },
      {
        title: "Time of mints",
        says: "What the provider takes. The requests of sessions without a token wait that long.",
        open: "docs/credentials.md#minted-tokens",
        ...{ kind: "time", unit: "s" },
        queries: [
          { expr: quantile(0.5, "bearerswap_mint_duration_seconds", { by: ["upstream"] }), legend: "p50 {{upstream}}" },
          {
            expr: quantile(0.99, "bearerswap_mint_duration_seconds", { by: ["upstream"] }),
            legend: "p99 {{upstream}}",
          },
        ],
      },
    ],
  };
}
