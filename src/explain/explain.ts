import { createCheck } from "../check/check.ts";
import type { DecodeCheck } from "../check/request.ts";
import type { ChallengeConfig } from "../check/response.ts";
import { type Routes, upstreamsOf } from "../check/routes.ts";
import type { Connect, OwnPage } from "../connect/connect.ts";
import { CheckRequest } from "../gen/envoy/service/auth/v3/external_auth.ts";
import type { UpstreamTokens } from "../minted/upstream-tokens.ts";
import type { Clock } from "../platform/clock.ts";
import { BearerswapError } from "../platform/error.ts";
import { keepNothing } from "../platform/kept-parts.ts";
import { createLog } from "../platform/log.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import type { Credentials } from "../sessions/credential.ts";
import type { KeySet } from "../sessions/key-set.ts";
import type { Identification } from "../sessions/session.ts";
import type { SourceConfig } from "../sessions/source-config.ts";
import { createSources } from "../sessions/sources.ts";
import { standIn } from "../tokens/look.ts";
import type { Explanation, RouteView, UpstreamView } from "./explanation.ts";
import { sessionView } from "./session-view.ts";
import { upstreamView } from "./upstream-view.ts";
import { type DeniedLine, verdictView } from "./verdict-view.ts";

/** Says what a Check of this request would be answered now. */
export type Explain = (request: CheckRequest) => Promise<Explanation>;

export interface ExplainDeps {
  readonly config: {
    readonly sessions: readonly SourceConfig[];
    readonly upstreams: Readonly<
      Record<string, { readonly minted?: { readonly kind: string } | undefined; readonly secret?: object | undefined }>
    >;
    readonly check: ChallengeConfig & { readonly deadlineMs: number };
  };
  readonly decode: DecodeCheck;
  readonly keys: ReadonlyMap<string, KeySet>;
  readonly ownSessions: { isLiving(session: string): Promise<boolean> } | undefined;
  readonly keepsTokens: boolean;
  readonly routes: Routes;
  readonly tokens: Pick<UpstreamTokens, "look">;
  readonly credentials: Credentials;
  readonly connect: Connect | undefined;
  readonly clock: Clock;
}

/** Envoy limits headers to 60 KiB by default; the rest is for a body, and for metadata. */
const longestRequest = 1_048_576;

/**
 * Runs a real Check on parts that only look: sources with caches of their own, tokens that are looked at in place of
 * being got, invitations that are not issued, and metrics and log lines that nobody gets. What it says is therefore what
 * the next Check would be answered, and nothing is different after it. Only the keys that verify a session's JWT are
 * those of the service: they are fetched as that Check would fetch them.
 */
export function createExplain(deps: ExplainDeps): Explain {
  const { config, decode, routes, clock } = deps;

  return async function explain(given) {
    const whole = encoded(given);
    if (whole.length > longestRequest)
      throw new BearerswapError("input", `the request is longer than ${longestRequest} bytes`);
    const bytes = encoded(withoutQuery(given));
    const [asGiven, input] = [decode(whole), decode(bytes)];
    if (asGiven === undefined || input === undefined)
      throw new BearerswapError("input", "the request holds no HTTP request: attributes.request.http");
    const about = { format: 1, request: { method: input.method, host: input.host, path: input.path } } as const;
    const route = routeView(input);
    const found = new Map<string, Identification>();
    const upstreams = new Map<string, UpstreamView>();
    let endsAt: number | undefined;
    const sessions = sourcesWith(
      (names, identification) => {
        for (const name of names) found.set(name, identification);
      },
      (exp) => {
        endsAt = exp;
      },
    );
    const connect = deps.connect?.looking(sessions);
    if (connect?.owns(input)) return { ...about, route, upstreams: [], ...ownPage(connect.pageOf(asGiven)) };
    let denied: DeniedLine | undefined;
    const log = createLog(
      { level: "debug", format: "json" },
      {
        write(line: string) {
          const fields = JSON.parse(line) as DeniedLine & { readonly event?: string };
          if (fields.event === "denied") denied = fields;
        },
      },
    );
    const check = createCheck({
      ...deps,
      ...{ sessions, connect, log },
      challenge: config.check,
      tokens: looking(upstreams),
      prove: undefined,
      metrics: { answered() {} },
    });
    const answer = await check(bytes, config.check.deadlineMs);
    const isCertain = [...upstreams.values()].every(({ answer: of }) => of !== "depends");
    const session =
      found.size === 0 ? undefined : sessionView(config.sessions, input, { found, endsAt }, clock.wallMs());
    return {
      ...about,
      route,
      session,
      upstreams: [...upstreams.values()],
      verdict: verdictView(answer, denied, isCertain),
    };
  };

  function sourcesWith(
    told: (names: readonly string[], found: Identification) => void,
    onEnd: (endsAt: number) => void,
  ) {
    const { keys, ownSessions, keepsTokens } = deps;
    return createSources({
      ...{ config: config.sessions, maxEntries: 1, clock, keys, keepsTokens, told },
      ownSessions: ownSessions && { isAlive: ownSessions.isLiving },
      keep: keepNothing,
      async onVerified(_source, _session, { exp }) {
        if (exp !== undefined) onEnd(exp * 1_000);
        return true;
      },
    });
  }

  /** Where nobody knows what would come, the Check goes on as if all went well. */
  function looking(upstreams: Map<string, UpstreamView>): Parameters<typeof createCheck>[0]["tokens"] {
    return {
      cached: () => undefined,
      async fresh(owner, upstream, deadline) {
        const look = await deps.tokens.look(owner, upstream, deadline);
        const { minted, secret } = config.upstreams[upstream] ?? {};
        const kind = minted?.kind ?? (secret === undefined ? "grant" : "secret");
        upstreams.set(upstream, upstreamView(upstream, kind, look));
        return look.foreseen.kind === "depends" ? { kind: "fresh", token: standIn() } : look.foreseen.answer;
      },
    };
  }

  function routeView(input: CheckInput): RouteView {
    const result = routes.of(input);
    const compared = routes.compared(input).map(({ route, match }) => ({
      ...{ host: route.host, pathPrefix: route.pathPrefix },
      ...{ upstreams: upstreamsOf(route), match },
    }));
    const isNamed = input.upstream !== undefined || input.missing !== undefined;
    return {
      kind: result.kind,
      by: isNamed ? "context_extensions" : "routes",
      upstreams:
        result.kind === "upstream"
          ? [result.upstream.name]
          : result.kind === "fan_out"
            ? result.fanOut.upstreams.map(({ name }) => name)
            : [],
      missing: result.kind === "fan_out" ? result.fanOut.missing : undefined,
      mcp: routes.isMcp(input),
      why: "why" in result ? result.why : undefined,
      compared: isNamed ? [] : compared,
    };
  }
}

const pageStatus = { shown: undefined, too_long: 400, not_found: 404, wrong_method: 405 } as const;

function ownPage(page: OwnPage): Pick<Explanation, "page" | "verdict"> {
  return { page, verdict: { outcome: "connect", isCertain: page.kind !== "shown", status: pageStatus[page.kind] } };
}

function encoded(request: CheckRequest): Buffer {
  return Buffer.from(CheckRequest.encode(request).finish());
}

/** Queries decide nothing of this but by their length, and may hold what nobody should read in an explanation. */
function withoutQuery(given: CheckRequest): CheckRequest {
  const http = given.attributes?.request?.http;
  if (given.attributes === undefined || http === undefined) return given;
  const [path = ""] = http.path.split("?", 1);
  return { attributes: { ...given.attributes, request: { http: { ...http, path } } } };
}
