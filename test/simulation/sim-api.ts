import { deadlineIn } from "../../src/platform/deadline.ts";
import type { AccessToken } from "../../src/tokens/access-token.ts";
import { type Asking, judgeAnswer } from "./answer-rules.ts";
import type { History } from "./history.ts";
import type { Judge } from "./judge.ts";
import type { ApiPlan } from "./plan.ts";
import { type Replica, upstream } from "./replica.ts";
import type { Rng } from "./rng.ts";
import type { SimClock } from "./sim-clock.ts";

/** What requests are for: an API that takes access tokens, ends some early, and forbids some requests by a 401. */
export interface SimApi {
  /** A request arrives with a token of the member's; a 401 is told to one member, and tried again at another. */
  request(member: Replica, asking: Asking, token: AccessToken): void;
}

export interface SimApiDeps {
  readonly judge: Judge;
  readonly clock: SimClock;
  readonly history: History;
  readonly rng: Rng;
  readonly plan: ApiPlan;
  readonly members: () => readonly Replica[];
}

const waitMs = 12_000;

export function createSimApi({ judge, clock, history, rng, plan, members }: SimApiDeps): SimApi {
  /** Access tokens that the API takes no more. */
  const ended = new Set<string>();

  return {
    request(member, asking, token) {
      const text = token.token.reveal();
      if (rng.chance(plan.endsEarly)) ended.add(text);
      const isForbidden = rng.chance(plan.forbids);
      if (!ended.has(text) && !isForbidden) return;
      history.note("api", isForbidden ? "forbids" : "rejects", text, "of", asking.session);
      judge.count("rejections");
      // Envoy spreads its streams over the replicas.
      const [told, retried] = [other(member), other(member)];
      told.process.deliver(() => void tell(told, retried, asking.session, token, isForbidden));
    },
  };

  function other(member: Replica): Replica {
    return members().length === 0 ? member : rng.pick(members());
  }

  async function tell(
    told: Replica,
    retried: Replica,
    session: string,
    { version, token }: AccessToken,
    isForbidden: boolean,
  ): Promise<void> {
    const ending = await told.tokens.rejected({ session, upstream }, version);
    history.note(told.process.name, "is told of", token.reveal(), ending);
    retried.process.deliver(() => void retry(retried, session, version, ending, isForbidden));
  }

  async function retry(
    { process, tokens }: Replica,
    session: string,
    version: string,
    ending: string,
    isForbidden: boolean,
  ): Promise<void> {
    const asking: Asking = { by: process.name, session, at: clock.now(), waitMs };
    const ownerOf = () => ({ session });
    const { answer } = await tokens.replacement(
      { session, ownerOf },
      upstream,
      version,
      deadlineIn(process.clock, waitMs),
    );
    history.note(process.name, "tries", session, "again:", answer.kind);
    if (answer.kind !== "unchanged") judgeAnswer(judge, asking, answer);
    const isHealed = answer.kind === "fresh" && answer.token.version !== version;
    if (isHealed) judge.count("healed");
    // When all is well, a token that was rejected is replaced: only a refusal, or a login's end, keeps it from that.
    const isWell = asking.at > judge.settledAt() && !isForbidden;
    if (isWell && ending === "rejected" && answer.kind === "unchanged")
      judge.violated("not_healed", `${process.name} sends the rejected token of ${version} again`);
  }
}
