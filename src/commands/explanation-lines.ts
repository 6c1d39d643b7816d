import type { Explanation, GrantStanding, SessionView, UpstreamView, VerdictView } from "../explain/explanation.ts";

/** An explanation for people: the verdict first, then what it came from. */
export function explanationLines({ page, route, session, upstreams, verdict }: Explanation): string {
  const compared = route.compared.map(
    ({ host = "any host", pathPrefix, upstreams: names, match }) =>
      `  ${host}${pathPrefix} -> ${names.join(", ") || "no token"}: ${matches[match]}`,
  );
  const lines = [
    `verdict: ${verdictLine(verdict)}`,
    ...(page === undefined ? [] : [pageLine(page)]),
    `route: ${[route.upstreams.join(", ") || route.kind, `by ${route.by}`, route.missing && `missing: ${route.missing}`, route.mcp && "MCP", route.why].filter(Boolean).join(", ")}`,
    ...compared,
    ...(session === undefined ? [] : sessionLines(session)),
    ...upstreams.flatMap(upstreamLines),
  ];
  return `${lines.join("\n")}\n`;
}

const matches = {
  same: "fits",
  near_host: "the host differs by a port or trailing dot",
  other_host: "another host",
  other_path: "another path",
} as const;

function pageLine({ name, kind }: NonNullable<Explanation["page"]>): string {
  if (kind === "too_long") return "own page: none, the address is longer than any that is handed out";
  return `own page: ${name || "overview"}, ${kind.replace("_", " ")}`;
}

function verdictLine({ outcome, isCertain, status, why, upstream, headers, set }: VerdictView): string {
  const shown = Object.entries(headers ?? {}).filter(([name]) =>
    /^(?:retry-after|www-authenticate|location)$/.test(name),
  );
  return [
    status === undefined ? outcome : `${status} ${outcome}`,
    isCertain ? undefined : "if what it depends on goes well",
    upstream && `upstream ${upstream}`,
    why,
    set === undefined || set.length === 0 ? undefined : `sets ${set.join(", ")}`,
    ...shown.map(([name, value]) => `${name}: ${value}`),
  ]
    .filter(Boolean)
    .join(", ");
}

function sessionLines({ kind, source, session, subject, issuer, expiresInMs, sources }: SessionView): string[] {
  const about = [
    source && `source ${source}`,
    session && `session ${session}`,
    subject && `subject ${subject}`,
    issuer && `issuer ${issuer}`,
    expiresInMs !== undefined && `its token ends in ${seconds(expiresInMs)}`,
  ];
  return [
    `session: ${[kind, ...about].filter(Boolean).join(", ")}`,
    ...sources.map(({ name, reads, result, why }) => `  ${name} (${reads}): ${result}${why ? `, ${why}` : ""}`),
  ];
}

function upstreamLines(view: UpstreamView): string[] {
  const { upstream, kind, answer, on, wait, isBacked, why, retryAfterMs, grant, held, aheadInMs, breakerOpenMs } = view;
  const { minted } = view;
  const lines = [
    `upstream ${upstream} (${kind}): ${[answer, on && `on ${dependsOn[on]}`, wait && `which waits ${seconds(wait.remainingMs)} at most: ${waits[wait.why]}`, isBacked && "a token in hand is served otherwise", why, retryAfterMs !== undefined && `again in ${seconds(retryAfterMs)}`].filter(Boolean).join(", ")}`,
    grant && `  stored: ${grantLine(grant)}`,
    held &&
      `  this process: a token ${held.expiresInMs === undefined ? "without expiry" : `for ${seconds(held.expiresInMs)}`}, ${held.isServed ? "served" : "not served"}`,
    aheadInMs !== undefined &&
      `  refreshed ahead: ${aheadInMs <= 0 ? "with the next request" : `in ${seconds(aheadInMs)} at the earliest`}`,
    breakerOpenMs !== undefined && `  breaker: open for ${seconds(breakerOpenMs)}`,
    minted &&
      `  minted: ${[minted.session && `session ${minted.session}`, minted.subjectExpiresInMs !== undefined && `asked for by a token that ends in ${seconds(minted.subjectExpiresInMs)}`, minted.sharedExpiresInMs === undefined ? "none shared" : `one shared for ${seconds(minted.sharedExpiresInMs)}`, minted.isRejected && "rejected by its API"].filter(Boolean).join(", ")}`,
    view.isUnderWay && "  a request waits for it already",
  ];
  return lines.filter((line) => typeof line === "string");
}

const dependsOn = {
  refresh: "a refresh",
  lease: "what another attempt gets",
  mint: "the provider, which is asked for one",
} as const;

const waits = {
  failover: "Redis has failed over, and what it has lost is being written back",
  gap: "this process was cut off from Redis, and may have missed another's refresh",
  given_up_call: "the provider may still answer a call that was given up",
  earlier_attempt: "an earlier attempt may have redeemed the refresh token, and may still store what it got",
} as const;

function grantLine(grant: GrantStanding): string {
  const { state, why, subject, hasRefreshToken, hasAccessToken, accessExpiresInMs, backOffMs, failures, lease } = grant;
  const access =
    accessExpiresInMs === undefined ? "an access token" : `an access token for ${seconds(accessExpiresInMs)}`;
  return [
    why === undefined ? state : `${state} (${why})`,
    hasAccessToken === undefined ? undefined : hasAccessToken ? access : "no access token",
    hasRefreshToken === undefined ? undefined : hasRefreshToken ? "a refresh token" : "no refresh token",
    subject && `subject ${subject}`,
    backOffMs && `backed off for ${seconds(backOffMs)}`,
    failures && `${failures} failures in a row`,
    lease && `lease of attempt ${lease.attempt} for ${seconds(lease.remainingMs)}`,
    grant.quietMs && `refreshed by nobody for ${seconds(grant.quietMs)}`,
    grant.earlier &&
      `presented ${grant.earlier.count} times with an unknown end, first ${seconds(grant.earlier.sinceMs)} ago`,
    grant.answerMs && `an answer may come for ${seconds(grant.answerMs)}`,
    grant.isRejected && "rejected by its API",
    grant.rejectionHoldMs && `rejections change nothing for ${seconds(grant.rejectionHoldMs)}`,
    grant.keptForMs !== undefined && `kept for ${seconds(grant.keptForMs)}`,
  ]
    .filter(Boolean)
    .join(", ");
}

function seconds(ms: number): string {
  return `${Math.ceil(ms / 1_000)}s`;
}
