import type { CheckInput } from "../sessions/check-input.ts";
import type { Credentials } from "../sessions/credential.ts";
import { injected } from "./allowed-answer.ts";
import { namesOf } from "./fan-out.ts";
import { allowResponse, cookiesToRewrite } from "./response.ts";
import type { Verdict } from "./verdict.ts";

type FanOutAnswer = (verdict: Verdict & { readonly kind: "allow_several" }, input: CheckInput) => Buffer;

/**
 * The serialized answer that lets a request through with several tokens, each of which can stand in its header. It has
 * no proof for healing: an API's 401 would not tell which of them was rejected.
 */
export function createFanOutAnswer(credentials: Credentials): FanOutAnswer {
  return function fanOutAnswer({ tokens, omitted }, input) {
    const headers = tokens.map(({ upstream, token }) => injected(upstream, token.token.reveal()));
    const set = {
      upstream: namesOf(tokens.map(({ upstream }) => upstream)).join(","),
      version: tokens.map(({ token }) => token.version).join(","),
    };
    const metadata = {
      outcome: "allowed",
      ...(tokens.length === 0 ? {} : set),
      ...(omitted.length === 0 ? {} : { omitted: namesOf(omitted).join(",") }),
    };
    const removed = omitted.map(({ inject }) => inject.header);
    return allowResponse(credentials, cookiesToRewrite(credentials, input), headers, metadata, removed);
  };
}
