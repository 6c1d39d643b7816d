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
export type AllowedAnswer = (upstream: CheckUpstream, token: AccessToken, input: CheckInput) => Buffer | undefined;

/** Not in a header, whatever a provider calls a token or an operator a format (RFC 9110 §5.5). */
const notInHeader = /[^\t\x20-\x7e]/;

/**
 * Answers with the same token differ only where cookies have to be rewritten: those are encoded one by one, the others
 * filled into forms.
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
