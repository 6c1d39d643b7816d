import type { Deadline } from "../platform/deadline.ts";
import type { Session } from "../sessions/session.ts";
import type { AccessToken } from "../tokens/access-token.ts";
import type { TokenAnswer, TokenManager } from "../tokens/token-manager.ts";
import { type FanOut, type Missing, namesOf } from "./fan-out.ts";
import { denialFor } from "./token-verdict.ts";
import type { CheckUpstream } from "./upstream.ts";
import type { Verdict } from "./verdict.ts";

type Tokens = Pick<TokenManager, "cached" | "fresh">;

/** How one upstream of a fan-out stands. */
type Part = { readonly upstream: CheckUpstream } & (
  | { readonly state: "token"; readonly token: AccessToken }
  /** Its account is missing, and the request goes on without its token. */
  | { readonly state: "omitted" }
  | { readonly state: "unasked" }
);

/** What was answered so far, by the upstreams' names. */
type Asked = Map<string, TokenAnswer>;

/**
 * Finds the tokens of a fan-out: at once where all are cached, and otherwise side by side. The first upstream, in the
 * order given, that has no token decides what the request is answered.
 */
export function createFanOutTokens(tokens: Tokens) {
  return function tokensOf(session: Session, fanOut: FanOut): Verdict | ((deadline: Deadline) => Promise<Verdict>) {
    const parts = partsOf(session, fanOut, new Map());
    const lacking = unaskedIn(parts);
    return lacking.length === 0 ? allow(session, parts) : (deadline) => ask(session, fanOut, lacking, deadline);
  };

  async function ask(
    session: Session,
    fanOut: FanOut,
    lackingFirst: readonly string[],
    deadline: Deadline,
  ): Promise<Verdict> {
    const asked: Asked = new Map();
    const askedAgain = new Set<string>();
    let lacking = lackingFirst;
    let latest: string | undefined;
    const freshOf = async (name: string) => {
      const answer = await tokens.fresh(session, name, deadline);
      latest = name;
      return answer;
    };
    for (;;) {
      const pending = lacking.map((name) => ({ name, answering: freshOf(name) }));
      for (const { name, answering } of pending) {
        const answer = await answering;
        // A user who has to do something need not wait for the upstreams that come later.
        if (answer.kind !== "fresh" && !isOmitted(answer, fanOut.missing))
          return { ...denialFor(answer, session, name), upstreams: namesOf(fanOut.upstreams) };
        asked.set(name, answer);
      }
      // A token may be revoked while others are waited for. What was cached is looked at again after the wait, and what
      // came before the last answer and is cached no more is asked for again, once: not every token can be cached.
      for (const name of asked.keys()) {
        if (name === latest || askedAgain.has(name) || asked.get(name)?.kind !== "fresh") continue;
        if (tokens.cached(session, name) !== undefined) continue;
        askedAgain.add(name);
        asked.delete(name);
      }
      const parts = partsOf(session, fanOut, asked);
      lacking = unaskedIn(parts);
      if (lacking.length === 0) return allow(session, parts);
    }
  }

  function partsOf(session: Session, { upstreams }: FanOut, asked: Asked): readonly Part[] {
    return upstreams.map((upstream): Part => {
      const answer = asked.get(upstream.name);
      if (answer !== undefined && answer.kind !== "fresh") return { upstream, state: "omitted" };
      const token = tokens.cached(session, upstream.name) ?? answer?.token;
      return token === undefined ? { upstream, state: "unasked" } : { upstream, state: "token", token };
    });
  }
}

function unaskedIn(parts: readonly Part[]): string[] {
  return parts.flatMap(({ upstream, state }) => (state === "unasked" ? [upstream.name] : []));
}

/** A provider that is down is no missing account: its user would get answers that lack something, and not know it. */
function isOmitted({ kind }: TokenAnswer, missing: Missing): boolean {
  return missing === "omit" && (kind === "missing" || kind === "refused" || kind === "denied");
}

function allow(session: Session, parts: readonly Part[]): Verdict {
  const found = parts.flatMap((part) =>
    part.state === "token" ? [{ upstream: part.upstream, token: part.token }] : [],
  );
  const [only] = found;
  // The one token of such a request can be healed like any other's.
  if (parts.length === 1 && only !== undefined) return { kind: "allow", session, ...only };
  const omitted = parts.flatMap(({ upstream, state }) => (state === "omitted" ? [upstream] : []));
  return { kind: "allow_several", session, tokens: found, omitted };
}
