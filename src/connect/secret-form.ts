import type { Reply, ReplyCookie } from "../check/reply.ts";
import { equalSecrets } from "../platform/digest.ts";
import { createRunningWork } from "../platform/running-work.ts";
import type { Secret } from "../platform/secret.ts";
import type { EnteredSecret, Provider, SecretEntry } from "../providers/provider.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import { shortHash } from "../stores/grant.ts";
import { type Attempt, createAttempts } from "./attempts.ts";
import { knownBrowser } from "./browser.ts";
import type { ConnectContext } from "./context.ts";
import { ownerNow } from "./flow-owner.ts";
import { createSecretKeeping, type SecretPlace } from "./secret-keeping.ts";
import { secretMessages } from "./secret-messages.ts";
import { secretPage } from "./secret-page.ts";
import { beginsSessions } from "./start.ts";
import type { Begun, FlowOwner } from "./states.ts";
import { withCookies } from "./with-cookies.ts";

/** `secret/<upstream>?state=…`: GET shows the form for a secret, POST takes it. */
interface SecretForm {
  /** @param late gets the cookies that the browser needs even if the answer comes too late for it */
  handle(input: CheckInput, upstream: string, query: URLSearchParams, late: ReplyCookie[]): Promise<Reply>;
  /** Resolves when no secret is being tried or stored any more. */
  settled(): Promise<void>;
}

/** A form that is good for whoever is at the browser. */
interface Opened {
  readonly upstream: string;
  readonly provider: Provider;
  readonly entry: SecretEntry;
  readonly begun: Begun;
  readonly state: string;
  /** Whose secret it becomes; undefined for a newcomer. */
  readonly owner: FlowOwner | undefined;
}

type Tried = { readonly kind: "good" } | { readonly kind: "answered"; readonly reply: Reply };

const good: Tried = { kind: "good" };
/** Where nothing is tried, nothing is refused. */
const uncounted: Attempt = { giveBack: async () => undefined };

/**
 * A form stands in the place of a provider: it is begun as a login is, its state is sealed in a cookie of the browser,
 * and what is entered is kept only in the browser and for the session that began it. So a link alone makes nobody enter
 * a secret for somebody else's session.
 */
export function createSecretForm(context: ConnectContext): SecretForm {
  const { providers, store, states, flows, links, messages, titleOf, log, metrics } = context;
  const texts = secretMessages(links, titleOf);
  const attempts = createAttempts(flows);
  const keeping = createSecretKeeping(context);
  const work = createRunningWork();

  return {
    async handle(input, upstream, query, late) {
      const isSent = input.method === "POST";
      if (providers.get(upstream)?.secret === undefined) return messages.notFound();
      // As with the other forms: a POST from another site carries that site's Origin, and cannot know the state.
      if (isSent && input.header("origin") !== links.origin) return messages.staleForm();
      // While secrets cannot be stored nobody enters one for nothing.
      await store.ping();
      const opened = await open(input, upstream, query);
      if ("kind" in opened) return opened;
      // What is entered is kept even if nobody waits any more.
      return isSent ? work.track(take(input, opened, late)) : form(opened);
    },

    settled: work.settled,
  };

  async function open(input: CheckInput, upstream: string, query: URLSearchParams): Promise<Opened | Reply> {
    const provider = providers.get(upstream);
    const [state, ...others] = query.getAll("state");
    const begun = state === undefined || others.length > 0 ? undefined : await states.look(state, input.cookies);
    if (state === undefined || begun === undefined) return texts.lost(upstream);
    const { flow } = begun;
    const browser = knownBrowser(input);
    if (browser === undefined || !equalSecrets(browser.hash, flow.browser))
      return refuse(upstream, "another browser", messages.otherBrowser());
    if (flow.step !== "connect" || flow.upstream !== upstream || provider?.secret === undefined)
      return refuse(upstream, "another upstream", texts.lost(upstream));
    const owner = await ownerNow(input, flow, context);
    if (owner === "another") return refuse(upstream, "another session", messages.otherBrowser());
    if (owner === "unknown") return messages.unavailable("It cannot be told right now whose session this is.");
    return { upstream, provider, entry: provider.secret, begun, state, owner };
  }

  async function take(input: CheckInput, opened: Opened, late: ReplyCookie[]): Promise<Reply> {
    const { upstream, provider, entry, begun, owner } = opened;
    const entered = enteredIn(input);
    if (entered === "partial") return texts.tooLong(upstream);
    if (entered === "nothing") {
      log.error(
        { event: "secret_form_empty", upstream },
        "a form for a secret came without its content: let Envoy send the body of that address (with_request_body)",
      );
      return texts.withoutBody(upstream);
    }
    const read = entry.read(entered);
    if (read.kind === "problem") return form(opened, read.why, "invalid");
    if (owner === undefined && !beginsSessions(provider)) return messages.beginsElsewhere(upstream);
    const one = entry.verify === undefined ? uncounted : await attempts.begin(owner?.session, upstream);
    if (one === undefined) return tooMany(opened);
    const place = await placeFor(opened, one);
    if (place === undefined) return messages.stranger();
    // If the trial takes longer than the browser is kept waiting, the secret is kept all the same: without the cookie it
    // would be in a session that nobody has.
    late.push(...keeping.cookiesOf(place));
    const tried = await attempt(one, read.token, opened);
    if (tried.kind === "answered") return tried.reply;
    if (!(await states.take(begun))) return texts.lost(upstream);
    if (begun.ended !== undefined) late.push(begun.ended);
    return withCookies(await keep(place, read.token, provider, opened), late);
  }

  function tooMany({ upstream, owner }: Opened): Reply {
    log.warn(
      { event: "secret_refused", upstream, session: owner && shortHash(owner.session), reason: "too_many" },
      "a secret was not tried: too many were refused within ten minutes, of this session, or without `session` of all users who have none",
    );
    return texts.tooMany(upstream, owner === undefined);
  }

  /** Where it will be. If the store fails meanwhile nothing was refused, and nothing counts. */
  async function placeFor({ owner, upstream }: Opened, one: Attempt): Promise<SecretPlace | undefined> {
    try {
      return owner === undefined ? await keeping.newPlace(upstream) : await keeping.placeOf(owner, upstream);
    } catch (error) {
      await one.giveBack();
      throw error;
    }
  }

  /** Tries it where the upstream says how. */
  async function attempt(one: Attempt, token: Secret, opened: Opened): Promise<Tried> {
    const { upstream, entry } = opened;
    if (entry.verify === undefined) return good;
    const outcome = await entry.verify(token);
    if (outcome.kind !== "refused") await one.giveBack();
    if (outcome.kind === "accepted") return good;
    metrics.login(upstream, outcome.kind === "refused" ? "denied" : "failed");
    if (outcome.kind === "refused") {
      log.info({ event: "secret_refused", upstream, reason: outcome.why }, "a secret that was entered was refused");
      const why = `${titleOf(upstream)} does not accept it. Nothing was kept. Check what you entered, and try again.`;
      return { kind: "answered", reply: form(opened, why, "forbidden") };
    }
    log.error(
      { event: "connect_failed", upstream, reason: outcome.why },
      "a secret could not be tried: nothing was kept, and its user can try again. If `reason` is a status, secret.verify does not say what it means: see bearerswap check --online",
    );
    const why = `${titleOf(upstream)} did not answer as it should. Nothing was kept. Try again in a moment.`;
    return { kind: "answered", reply: form(opened, why, "unavailable") };
  }

  async function keep(place: SecretPlace, token: Secret, provider: Provider, { upstream, begun }: Opened) {
    const result = await keeping.keep(place, token, provider);
    const { by, returnTo } = begun.flow;
    switch (result) {
      case "stored":
        if (by === "ticket") return texts.connectedElsewhere(upstream);
        if (returnTo !== undefined) return texts.connected(upstream, links.back(returnTo));
        return { kind: "redirect", to: links.overview, afterPost: true } as const;
      case "superseded":
        return messages.newerLogin(upstream);
      case "full":
        return messages.unavailable("What you entered could not be stored.");
      case "unknown":
        return messages.uncertain(upstream, []);
      default:
        return result satisfies never;
    }
  }

  function form(
    { upstream, entry, state }: Opened,
    problem?: string,
    status?: "invalid" | "forbidden" | "unavailable",
  ) {
    const action = links.secret(upstream, state);
    return secretPage({ entry, title: titleOf(upstream), action, problem, ...(status && { status }) });
  }

  function refuse(upstream: string, reason: string, page: Reply): Reply {
    metrics.login(upstream, "refused");
    log.warn(
      { event: "connect_refused", upstream, step: "secret", reason },
      "a form for a secret came from somebody else than began it, and was refused",
    );
    return page;
  }
}

/** What the form holds; `partial` where Envoy sent a part of it, and `nothing` where it sent none. */
function enteredIn(input: CheckInput): EnteredSecret | "partial" | "nothing" {
  if (/true/i.test(input.header("x-envoy-auth-partial-body") ?? "")) return "partial";
  if (input.body === "") return "nothing";
  const fields = new URLSearchParams(input.body);
  return { user: fields.get("user") ?? "", secret: fields.get("secret") ?? "" };
}
