import type { ConnectHooks, ScopeRefused, StepUp } from "../check/connect-hooks.ts";
import { deny, type Verdict } from "../check/verdict.ts";
import type { Deadline } from "../platform/deadline.ts";
import { messageOf } from "../platform/error.ts";
import { shortHash } from "../stores/grant.ts";
import type { ConnectContext } from "./context.ts";
import type { StepUpEnding } from "./metrics.ts";
import { scopesIn } from "./wider-login.ts";

interface StepUpDeps {
  readonly context: Pick<ConnectContext, "store" | "providers" | "askedScopes" | "log" | "metrics">;
  /** The scopes of an upstream that its users may be asked for. */
  readonly allowedFor: (upstream: string) => readonly string[];
  readonly offer: ConnectHooks["offer"];
}

type Answer =
  | { readonly ending: Exclude<StepUpEnding, "offered">; readonly why?: string }
  | { readonly ending: "offered"; readonly verdict: Verdict; readonly scope: string };

export function createStepUp({ context, allowedFor, offer }: StepUpDeps): StepUp {
  const { store, providers, askedScopes, log, metrics } = context;

  return async function stepUp(refused, deadline) {
    const { upstream, session } = refused;
    const failed = (why: string): Answer => ({ ending: "unavailable", why });
    const working = answerTo(refused, deadline).catch((error: unknown) => failed(messageOf(error)));
    const answer = await deadline.before(working, () => failed("deadline"));
    metrics.steppedUp(upstream, answer.ending);
    const about = { event: "step_up", upstream, session: shortHash(session), result: answer.ending };
    if (answer.ending === "offered") {
      log.info({ ...about, scope: answer.scope }, "a user is asked for further access");
      return answer.verdict;
    }
    const text = "an API wants a wider scope, and its own 403 is the answer";
    if (answer.ending === "unavailable") log.warn({ ...about, reason: answer.why }, text);
    else log.info(about, text);
    return undefined;
  };

  async function answerTo(refused: ScopeRefused, deadline: Deadline): Promise<Answer> {
    const { upstream, session, scopes, sessionOf, bytes } = refused;
    const key = { session, upstream };
    const allowed = allowedFor(upstream).filter((scope) => scopes.includes(scope));
    if (allowed.length === 0) return { ending: "nothing_new" };
    const found = await store.read(key);
    const grant = found.kind === "found" && found.row.state === "active" ? found.row.grant : undefined;
    const owner = grant && sessionOf(grant.subject);
    // What a secret may do was decided where it was made.
    if (grant === undefined || owner === undefined || grant.isSecret) return { ending: "nothing_new" };
    const login = providers.get(upstream)?.login;
    const granted = grant.scope === undefined ? await login?.scopes(grant.client) : scopesIn(grant.scope);
    const lacking = allowed.filter((scope) => !granted?.includes(scope));
    if (lacking.length === 0) return { ending: "nothing_new" };
    const unasked = await askedScopes.unasked(key, grant, lacking);
    if (unasked.length === 0) return { ending: "repeated" };
    const scope = unasked.join(" ");
    const verdict = await offer(deny("insufficient_scope", { ...key, scope }), bytes, deadline, owner);
    const leads = verdict.kind === "reply" || (verdict.kind === "deny" && verdict.connectUrl !== undefined);
    return leads ? { ending: "offered", verdict, scope } : { ending: "unavailable", why: "no page can be named" };
  }
}
