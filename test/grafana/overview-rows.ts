import type { Row } from "./panels.ts";
import type { Queries } from "./queries.ts";

/** Whether requests get their tokens, how fast, and what else the processes need for it. */
export function overviewRows(queries: Queries): readonly Row[] {
  return [now(queries), checks(queries), caches(queries), dependencies(queries), processes(queries)];
}

function now({ gauge, share, quantile }: Queries): Row {
  return {
    title: "Now",
    panels: [
      {
        title: "Instances",
        says: "Instances that Prometheus reads. None: Envoy answers 503, and nobody loses a login unless the store is memory.",
        open: "docs/operations.md#bearerswapdown",
        ...{ kind: "now", unit: "short", bad: { under: 1 } },
        queries: [{ expr: `${gauge("count", "bearerswap_build_info")} or vector(0)`, legend: "instances" }],
      },
      {
        title: "Store",
        says: "Whether the store answers every instance. Down: cached tokens are served until they expire, and nothing is deleted. Do not restart bearerswap while commits are being repeated (dashboard: refreshes).",
        open: "docs/operations.md#bearerswapstoredown",
        ...{ kind: "now", unit: "short", bad: { under: 1 }, words: { "0": "down", "1": "up" } },
        queries: [{ expr: gauge("min", "bearerswap_store_up"), legend: "store" }],
      },
      {
        title: "Answered 503",
        says: "The part of all checks that no token could be had for just now. Anything above zero for minutes has a cause in the store, at a provider or in our client there.",
        open: "docs/operations.md#bearerswapchecksunavailable",
        ...{ kind: "now", unit: "percentunit", bad: { from: [0.001, 0.01] } },
        queries: [{ expr: share("bearerswap_checks_total", { where: { reason: ["unavailable"] } }), legend: "503" }],
      },
      {
        title: "Slowest 1 %",
        says: "Time within which 99 % of checks are answered. Requests that wait for a refresh count too; above a second users notice.",
        open: "docs/operations.md#bearerswapchecksslow",
        ...{ kind: "now", unit: "s", bad: { from: [0.5, 1] } },
        queries: [{ expr: quantile(0.99, "bearerswap_check_duration_seconds"), legend: "p99" }],
      },
      {
        title: "Configuration",
        says: "Whether the files say what is in force. Failing: a change was not taken over by some instance, and a rotated certificate or secret is not in use. A restart would not come up.",
        open: "docs/operations.md#bearerswapconfigreloadfailed",
        ...{ kind: "now", unit: "short", bad: { from: [1, 1] }, words: { "0": "in force", "1": "reload failing" } },
        queries: [{ expr: gauge("max", "bearerswap_config_reload_failing"), legend: "reload" }],
      },
      {
        title: "Failing grants",
        says: "Grants whose refreshes have failed for an hour without a refusal that we know. Above zero with healthy refreshes elsewhere: the provider may be refusing them in words that we do not know.",
        open: "docs/operations.md#bearerswapgrantsfailing",
        ...{ kind: "now", unit: "short", bad: { from: [1, 10] } },
        queries: [
          { expr: `sum (${gauge("max", "bearerswap_failing_grants", { by: ["upstream"] })})`, legend: "grants" },
        ],
      },
    ],
  };
}

function checks({ rate, share, quantile }: Queries): Row {
  return {
    title: "Checks",
    panels: [
      {
        title: "Checks by outcome",
        says: "All requests that Envoy asks about. unavailable is a 503; what each reason tells the client, and what cures it, stands on the page.",
        open: "docs/verdicts.md",
        ...{ kind: "time", unit: "reqps", isStacked: true },
        queries: [{ expr: rate("bearerswap_checks_total", { by: ["reason"] }), legend: "{{reason}}" }],
      },
      {
        title: "Answered 503, by upstream",
        says: "One upstream alone: its provider, or our client there. All at once: the store, or the keys of an issuer.",
        open: "docs/operations.md#bearerswapchecksunavailable",
        ...{ kind: "time", unit: "percentunit", bad: { from: [0.01, 0.01] } },
        queries: [
          {
            expr: share("bearerswap_checks_total", { by: ["upstream"], where: { reason: ["unavailable"] } }),
            legend: "{{upstream}}",
          },
        ],
      },
      {
        title: "Time to answer",
        says: "p50 is the cached path, below a millisecond; a rise there is the event loop or the CPU. p99 has the waits for the store and for refreshes in it.",
        open: "docs/operations.md#bearerswapchecksslow",
        ...{ kind: "time", unit: "s" },
        queries: [
          { expr: quantile(0.5, "bearerswap_check_duration_seconds"), legend: "p50" },
          { expr: quantile(0.95, "bearerswap_check_duration_seconds"), legend: "p95" },
          { expr: quantile(0.99, "bearerswap_check_duration_seconds"), legend: "p99" },
        ],
      },
      {
        title: "Time to answer, by upstream (p99)",
        says: "One upstream alone is slow: compare with the time of its refreshes; then it is the provider.",
        open: "docs/operations.md#bearerswapchecksslow",
        ...{ kind: "time", unit: "s", bad: { from: [1, 1] } },
        queries: [
          {
            expr: quantile(0.99, "bearerswap_check_duration_seconds", { by: ["upstream"] }),
            legend: "{{upstream}}",
          },
        ],
      },
      {
        title: "Checks by upstream",
        says: "Where the load is. The empty name is requests for which no upstream was found: a route in Envoy, or in the configuration, is missing.",
        open: "docs/envoy.md",
        ...{ kind: "time", unit: "reqps", isStacked: true },
        queries: [{ expr: rate("bearerswap_checks_total", { by: ["upstream"] }), legend: "{{upstream}}" }],
      },
      {
        title: "Checks by instance",
        says: "Whether Envoy spreads its requests. One instance without any: Envoy does not find it, or it is not ready.",
        open: "docs/operations.md#replicas",
        ...{ kind: "time", unit: "reqps" },
        queries: [{ expr: rate("bearerswap_checks_total", { by: ["instance"] }), legend: "{{instance}}" }],
      },
    ],
  };
}

function caches({ perMinute, hits, gauge }: Queries): Row {
  const hitPair = ["bearerswap_token_cache_hits_total", "bearerswap_token_cache_misses_total"] as const;
  return {
    title: "Caches",
    panels: [
      {
        title: "Tokens found in the process",
        says: "The part of requests that needed no store. It falls after a start. Low for long: cache.maxSessions is smaller than the number of active sessions, and each miss is a store call.",
        open: "docs/operations.md#bearerswapchecksslow",
        ...{ kind: "time", unit: "percentunit" },
        queries: [{ expr: hits(...hitPair, { by: ["upstream"] }), legend: "{{upstream}}" }],
      },
      {
        title: "Held in the processes",
        says: "Access tokens and verified sessions, over all instances. A flat line at instances × cache.maxSessions is a full cache.",
        open: "docs/configuration.md",
        ...{ kind: "time", unit: "short" },
        queries: [
          {
            expr: gauge("sum", "bearerswap_token_cache_entries", { by: ["upstream"] }),
            legend: "tokens, {{upstream}}",
          },
          {
            expr: gauge("sum", "bearerswap_session_cache_entries", { by: ["source"] }),
            legend: "sessions, {{source}}",
          },
        ],
      },
      {
        title: "Dropped, and served unasked",
        says: "Dropped: tokens whose grant was changed by another replica, in a minute; usual with refreshes. Stale: tokens served although the store could not be asked; only while it is down.",
        open: "docs/refresh-protocol.md#keeping-caches-true",
        ...{ kind: "time", unit: "cpm" },
        queries: [
          { expr: perMinute("bearerswap_token_cache_invalidations_total"), legend: "dropped" },
          { expr: perMinute("bearerswap_stale_served_total"), legend: "stale" },
        ],
      },
    ],
  };
}

function dependencies({ observations, perMinute, quantile }: Queries): Row {
  return {
    title: "Store and issuers",
    panels: [
      {
        title: "Store commands",
        says: "A cached check makes none. Far more than refreshes and cache misses explain: the caches are too small.",
        open: "docs/operations.md#redis-modes",
        ...{ kind: "time", unit: "ops", isStacked: true },
        queries: [
          {
            expr: observations("bearerswap_store_command_duration_seconds", { by: ["command"] }),
            legend: "{{command}}",
          },
        ],
      },
      {
        title: "Time of store commands (p99)",
        says: "A healthy Redis is below 5 ms. Near a second, leases run out before their refreshes end.",
        open: "docs/operations.md#bearerswapleaselost",
        ...{ kind: "time", unit: "s", bad: { from: [0.1, 0.1] } },
        queries: [
          {
            expr: quantile(0.99, "bearerswap_store_command_duration_seconds", { by: ["command"] }),
            legend: "{{command}}",
          },
        ],
      },
      {
        title: "Failed store commands",
        says: "In a minute, by the server's code. OOM: it is full and takes no new tokens. READONLY: a failover. NOPERM, NOAUTH: its ACL or password. An instance's first error of a kind appears as a line at zero.",
        open: "docs/operations.md#bearerswapstoredown",
        ...{ kind: "time", unit: "cpm" },
        queries: [
          {
            expr: perMinute("bearerswap_store_errors_total", { by: ["command", "code"] }),
            legend: "{{command}} {{code}}",
          },
        ],
      },
      {
        title: "Fetches of issuers' keys",
        says: "In a minute. failed: sessions of that source cannot be verified once the keys in the process are too old, and their requests get 503.",
        open: "docs/operations.md#bearerswapchecksunavailable",
        ...{ kind: "time", unit: "cpm" },
        queries: [
          {
            expr: perMinute("bearerswap_jwks_fetches_total", { by: ["source", "result"] }),
            legend: "{{source}} {{result}}",
          },
        ],
      },
    ],
  };
}

function processes({ gauge, perMinute, rate }: Queries): Row {
  return {
    title: "Processes",
    panels: [
      {
        title: "Event loop lag (p99)",
        says: "Everything in a process waits that long. Above 0.1 s: more CPU or more replicas, no CPU limit, and a look at garbage collection.",
        open: "docs/operations.md#bearerswapeventlooplag",
        ...{ kind: "time", unit: "s", bad: { from: [0.1, 0.1] } },
        queries: [
          { expr: gauge("max", "nodejs_eventloop_lag_p99_seconds", { by: ["instance"] }), legend: "{{instance}}" },
        ],
      },
      {
        title: "CPU",
        says: "Cores in use. A process uses one at most: near 1, add replicas.",
        open: "docs/kubernetes.md#values-that-matter",
        ...{ kind: "time", unit: "short", bad: { from: [0.8, 0.8] } },
        queries: [{ expr: rate("process_cpu_seconds_total", { by: ["instance"] }), legend: "{{instance}}" }],
      },
      {
        title: "Memory",
        says: "Resident memory. It grows to what the caches hold and stays there; a line that never stops rising is worth a report.",
        open: "docs/kubernetes.md#values-that-matter",
        ...{ kind: "time", unit: "bytes" },
        queries: [
          { expr: gauge("max", "process_resident_memory_bytes", { by: ["instance"] }), legend: "{{instance}}" },
        ],
      },
      {
        title: "Versions",
        says: "Instances by the version that they run. More than one for long: a roll-out is stuck.",
        open: "docs/upgrading.md",
        ...{ kind: "time", unit: "short", isStacked: true },
        queries: [{ expr: gauge("count", "bearerswap_build_info", { by: ["version"] }), legend: "{{version}}" }],
      },
      {
        title: "Reloads",
        says: "Reloads of the configuration in a minute. failed: it has problems or needs a restart, and what was in force still is.",
        open: "docs/operations.md#reload",
        ...{ kind: "time", unit: "cpm" },
        queries: [{ expr: perMinute("bearerswap_config_reloads_total", { by: ["result"] }), legend: "{{result}}" }],
      },
      {
        title: "Age of the configuration",
        says: "Time since the configuration in force was loaded. Instances that differ for long: one has not taken over a change.",
        open: "docs/operations.md#reload",
        ...{ kind: "time", unit: "s" },
        queries: [
          {
            expr: `time() - ${gauge("max", "bearerswap_config_loaded_timestamp_seconds", { by: ["instance"] })}`,
            legend: "{{instance}}",
          },
        ],
      },
    ],
  };
}
