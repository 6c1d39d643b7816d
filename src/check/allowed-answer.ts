import type { CheckInput } from "../sessions/check-input.ts";
import type { Credentials } from "../sessions/credential.ts";
import type { AccessToken } from "../tokens/access-token.ts";
import { createAnswerForms, type EncodeAnswer } from "./answer-form.ts";
import { allowResponse, cookiesToRewrite, type InjectedHeader } from "./response.ts";
import type { CheckUpstream } from "./routes.ts";

/**
 * The serialized answer that lets a request through with this token. Undefined where the token cannot stand in a
 * header.
 */
type AllowedAnswer = (upstream: CheckUpstream, token: AccessToken, input: CheckInput) => Buffer | undefined;

/** What a header cannot hold (RFC 9110 §5.5), whatever is in a provider's token or an operator's format. */
const notInHeader = /[^\t\x20-\x7e]/;

/**
 * Answers with the same token differ only in cookies that have to be rewritten. Those answers are encoded one by one,
 * and all others are filled into forms.
 */
export function createAllowedAnswer(credentials: Credentials): AllowedAnswer {
  const forms = new Map<CheckUpstream, EncodeAnswer>();
  return function allowedAnswer(upstream, token, input) {
    const text = token.token.reveal();
    token.injectable ??= !notInHeader.test(injected(upstream, text).value);
    if (!token.injectable) return undefined;
    const cookies = cookiesToRewrite(credentials, input);
    return cookies === undefined
      ? formsOf(upstream)(text, token.version)
      : encode(upstream, cookies, text, token.version);
  };

  function formsOf(upstream: CheckUpstream): EncodeAnswer {
    const known = forms.get(upstream);
    if (known !== undefined) return known;
    const created = createAnswerForms((token, version) => encode(upstream, undefined, token, version));
    forms.set(upstream, created);
    return created;
  }

  function encode(upstream: CheckUpstream, cookies: string | undefined, token: string, version: string): Buffer {
    return allowResponse(credentials, cookies, injected(upstream, token), {
      upstream: upstream.name,
      outcome: "allowed",
      version,
    });
  }
}

function injected({ inject }: CheckUpstream, token: string): InjectedHeader {
  return { name: inject.header, value: inject.format.replaceAll("{token}", () => token) };
}
