import type * as openid from "openid-client";
import type { Clock } from "../platform/clock.ts";
import { fetchProblem } from "../platform/discovery.ts";
import { messageOf, withCauses } from "../platform/error.ts";
import { NotSentError } from "../platform/not-sent.ts";
import type { AnswerRules } from "./answer-rules.ts";
import type { ClientAuthConfig } from "./client-auth.ts";
import type { RefreshOutcome, SentOutcome } from "./outcome.ts";
import type { ServerConfiguration } from "./server-configuration.ts";
import { sendTokenRequest } from "./token-request.ts";

/** One presentation of a refresh token, or of a code. */
export interface TokenExchange {
  /** Sends its one request, for openid-client. */
  readonly fetch: openid.CustomFetch;
  /**
   * What the request brought, told before openid-client looks at the answer: what it finds fault with must not cost the
   * tokens in it. Never settles where openid-client makes no request.
   */
  readonly outcome: Promise<SentOutcome>;
}

interface TokenExchangeDeps {
  readonly config: AnswerRules & { readonly issuer?: string | undefined; readonly clientAuth: ClientAuthConfig };
  readonly send: ServerConfiguration["send"];
  readonly clock: Clock;
  /** Asked in the tick that sends. False stops it. */
  readonly beforeSend?: (() => boolean) | undefined;
}

export function createTokenExchange({ config, send, clock, beforeSend }: TokenExchangeDeps): TokenExchange {
  const { promise: outcome, resolve } = Promise.withResolvers<SentOutcome>();
  return {
    outcome,
    fetch(url, options) {
      const sendNow = async () => {
        if (beforeSend?.() === false) throw new NotSentError();
        return send(url, options);
      };
      return sendTokenRequest(sendNow, {
        clock,
        rules: config,
        onOutcome: (sent) => resolve(advised(sent, config.clientAuth)),
        checksIdToken: config.issuer !== undefined,
        presented: presentedIn(options.body, config.clientAuth),
        own: config.issuer === undefined ? [url] : [url, config.issuer],
      });
    },
  };
}

/**
 * Lets openid-client make its one request, and tells what that brought. Never rejects.
 * @param ask the grant request; what it is asked with sends by the exchange
 */
export async function outcomeOf(
  { fetch, outcome }: TokenExchange,
  configure: ServerConfiguration["configure"],
  ask: (configuration: openid.Configuration) => Promise<unknown>,
): Promise<RefreshOutcome> {
  let configuration: openid.Configuration;
  try {
    configuration = await configure(fetch);
  } catch (error) {
    return { kind: "transient", why: `discovery failed: ${fetchProblem(error)}` };
  }
  const grant = ask(configuration);
  const checks = grant.then(
    () => undefined,
    (error: unknown) => withCauses(error),
  );
  // Where openid-client refuses to make the request, there is no outcome but its words.
  const refused = grant.then(
    () => outcome,
    (error: unknown): SentOutcome => ({ kind: "transient", why: messageOf(error) }),
  );
  const sent = await Promise.race([outcome, refused]);
  return sent.kind === "tokens" ? { ...sent, checks } : sent;
}

/** The fields of a token request that are nobody's but the provider's and ours. */
const secretFields = [
  ...["refresh_token", "code", "code_verifier", "client_secret", "client_assertion"],
  ...["subject_token", "actor_token", "assertion"],
] as const;

function presentedIn(body: openid.FetchBody, clientAuth: ClientAuthConfig): readonly string[] {
  const fields = body instanceof URLSearchParams ? secretFields.flatMap((name) => body.getAll(name)) : [];
  return "secret" in clientAuth ? [...fields, clientAuth.secret.reveal()] : fields;
}

/**
 * Servers differ in whether they decode Basic credentials, and many take them only in the body: a right secret is
 * refused then as a wrong one is.
 */
function advised(outcome: SentOutcome, { method }: ClientAuthConfig): SentOutcome {
  const isClientRefused =
    outcome.kind === "misconfigured" && (outcome.why === "invalid_client" || outcome.why === "http_401");
  if (!isClientRefused || outcome.isStated || !method.startsWith("client_secret_basic")) return outcome;
  const other =
    method === "client_secret_basic"
      ? "client_secret_basic_raw (id and secret are sent without percent-encoding)"
      : "client_secret_basic";
  return {
    ...outcome,
    advice: `if clientId and clientSecret are right, try clientAuth: ${other}, or client_secret_post`,
  };
}
