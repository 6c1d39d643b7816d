import type { Parsed } from "./parsed.ts";
import type { Problem } from "./problem.ts";

type ParsedUpstreams = NonNullable<Parsed["upstreams"]>;

/** Where what belongs to these upstreams is kept. */
interface Kept {
  readonly store: Parsed["store"] | undefined;
  readonly upstreams: ParsedUpstreams;
}

/** What the sections must agree on for users to connect accounts. */
export function connectChecks(
  { connect, sessions = [], upstreams = {}, store }: Parsed,
  raw: Readonly<Record<string, unknown>>,
): Problem[] {
  const problems = [...unusedSection(raw), ...stepUpChecks(raw)];
  if (!Object.hasOwn(raw, "connect")) {
    const message = "needs the section connect, with publicUrl";
    for (const [name, upstream] of Object.entries(upstreams))
      if (upstream?.connect)
        problems.push({ path: `upstreams.${name}.${upstream.mcp === undefined ? "connect" : "mcp"}`, message });
    for (const [at, source] of sessions.entries())
      if (source?.kind === "cookie") problems.push({ path: `sessions[${at}].cookie`, message });
  }
  for (const [at, source] of sessions.entries())
    if (source?.kind === "cookie" && sessions.findIndex((other) => other?.kind === "cookie") < at)
      problems.push({
        path: `sessions[${at}].cookie`,
        message: "is the second of its kind: a browser needs one session of our own, not two",
      });
  return [
    ...problems,
    ...beginningChecks({ sessions, upstreams }),
    ...loginChecks({ connect, sessions }),
    ...sealedClients({ store, upstreams }),
    ...sealedSecrets({ store, upstreams }),
  ];
}

/** By what `heal` leaves with each request it is known whose token an API has refused. */
function stepUpChecks({ connect, heal }: Readonly<Record<string, unknown>>): Problem[] {
  if (typeof connect !== "object" || connect === null || !("stepUp" in connect) || heal !== undefined) return [];
  const message = "needs the section heal: write `heal: {}`, and give Envoy the filters of docs/healing.md";
  return [{ path: "connect.stepUp", message }];
}

/** Other than tokens, secrets are good for as long as their users leave them so. */
function sealedSecrets({ store, upstreams }: Kept): Problem[] {
  if (isSealed(store)) return [];
  const message = "needs store.encryption: users' secrets are kept in Redis, and would be there in the clear";
  return Object.entries(upstreams).flatMap(([name, upstream]) =>
    upstream?.secret === undefined ? [] : [{ path: `upstreams.${name}.secret`, message }],
  );
}

/** Whether nobody who reads the store sees what is kept; true also where a store cannot be told. */
function isSealed(store: Kept["store"]): boolean {
  return store?.kind !== "redis" || store.encryption !== undefined;
}

/** Sessions that are issued begin with an account, and not with a secret that is not tried. */
function beginningChecks({
  sessions = [],
  upstreams,
}: {
  readonly sessions: Parsed["sessions"];
  readonly upstreams: ParsedUpstreams;
}): Problem[] {
  const all = Object.values(upstreams);
  const isUntried = all.some((upstream) => upstream?.secret !== undefined);
  const canBegin = all.some((upstream) => upstream === undefined || upstream.connect || upstream.secret?.verify);
  if (!isUntried || canBegin) return [];
  const message =
    "issues no session: a session begins with a login or with a secret that was tried; give secret.verify to one of the upstreams, or use another source";
  return sessions.flatMap((source, at) =>
    source?.kind === "cookie" ? [{ path: `sessions[${at}].cookie`, message }] : [],
  );
}

/** What a server gives a client that registers itself has to be kept, by all replicas and for as long as grants live. */
function sealedClients({ store, upstreams }: Kept): Problem[] {
  if (isSealed(store)) return [];
  const message =
    "needs store.encryption: the client that registers itself at the server, and its secret, are kept in Redis; set that, or register a client by hand and give clientId";
  return Object.entries(upstreams).flatMap(([name, upstream]) =>
    upstream?.mcp !== undefined && upstream.clientId === undefined ? [{ path: `upstreams.${name}.mcp`, message }] : [],
  );
}

/**
 * A section `connect` whose pages would offer nothing. It looks at the file's own content, as an upstream that cannot
 * be parsed may be one that users connect.
 */
function unusedSection({ connect, upstreams }: Readonly<Record<string, unknown>>): Problem[] {
  if (
    typeof connect !== "object" ||
    connect === null ||
    "resources" in connect ||
    typeof upstreams !== "object" ||
    upstreams === null
  )
    return [];
  if (
    Object.values(upstreams).some(
      (upstream) =>
        typeof upstream === "object" &&
        upstream !== null &&
        ["connect", "mcp", "secret"].some((key) => Object.hasOwn(upstream, key)),
    )
  )
    return [];
  const [name = "NAME"] = Object.keys(upstreams);
  return [
    {
      path: "connect",
      message: `is used by no upstream: write \`connect: {}\` into each that users connect, such as upstreams.${name}`,
    },
  ];
}

/** The user who follows a link is compared with the session's `sub`: the session has to state it. */
function loginChecks({ connect, sessions = [] }: Pick<Parsed, "connect" | "sessions">): Problem[] {
  return Object.keys(connect?.login ?? {}).flatMap((name) => {
    const path = `connect.login.${name}`;
    const source = sessions.find((candidate) => candidate?.name === name);
    if (source?.kind !== "jwt") return [{ path, message: "must be the name of a jwt source" }];
    if ("cookie" in source.from)
      return [{ path, message: "is not used: sessions in a cookie are at the browser already" }];
    if (source.subject !== "sub")
      return [{ path, message: 'needs `subject: "sub"` at that source: the login is compared with it' }];
    return [];
  });
}
