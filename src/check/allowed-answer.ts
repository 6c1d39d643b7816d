import { injectedText } from "../platform/injection.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import type { Credentials } from "../sessions/credential.ts";
import type { AccessToken } from "../tokens/access-token.ts";
import { createAnswerForms, type EncodeAnswer } from "./answer-form.ts";
import type { ConnectHooks } from "./connect-hooks.ts";
import type { Prove } from "./proof.ts";
import { allowResponse, cookiesToRewrite, type InjectedHeader } from "./response.ts";
import type { Routes } from "./routes.ts";
import type { CheckUpstream } from "./upstream.ts";
import type { Verdict } from "./verdict.ts";

/**
 * The serialized answer that lets a request through with this token. Undefined where the token cannot stand in a
 * header.
 */
type AllowedAnswer = (verdict: Verdict & { readonly kind: "allow" }, input: CheckInput) => Buffer | undefined;

interface AllowedAnswerDeps {
  readonly credentials: Credentials;
  readonly routes: Pick<Routes, "isMcp">;
  readonly prove: Prove | undefined;
  readonly callOf: ConnectHooks["callOf"];
}

/** What a header cannot hold (RFC 9110 §5.5), whatever is in a provider's token or an operator's format. */
const notInHeader = /[^\t\x20-\x7e]/;

/**
 * Answers with the same token differ only in cookies that have to be rewritten, and in what is kept of a request. Those
 * answers are encoded one by one, and all others are filled into forms.
 */
export function createAllowedAnswer({ credentials, routes, prove, callOf }: AllowedAnswerDeps): AllowedAnswer {
  const forms = new Map<CheckUpstream, EncodeAnswer>();
  return function allowedAnswer({ session, upstream, token }, input) {
    const text = token.token.reveal();
    if (!isInjectable(upstream, token)) return undefined;
    const { version } = token;
    const isMcp = prove !== undefined && routes.isMcp(input);
    const proof = prove?.(session, upstream.name, token, isMcp) ?? "";
    const cookies = cookiesToRewrite(credentials, input);
    const call = isMcp ? callOf?.(input, upstream.name) : undefined;
    return cookies === undefined && call === undefined
      ? formsOf(upstream)(text, version, proof)
      : encode(upstream, { cookies, call }, text, version, proof);
  };

  function formsOf(upstream: CheckUpstream): EncodeAnswer {
    const known = forms.get(upstream);
    if (known !== undefined) return known;
    const created = createAnswerForms((token, version, proof) => encode(upstream, {}, token, version, proof));
    forms.set(upstream, created);
    return created;
  }

  function encode(
    upstream: CheckUpstream,
    { cookies, call }: { readonly cookies?: string | undefined; readonly call?: string | undefined },
    token: string,
    version: string,
    proof: string,
  ): Buffer {
    return allowResponse(credentials, cookies, [injected(upstream, token)], {
      upstream: upstream.name,
      outcome: "allowed",
      version,
      ...(proof === "" ? {} : { proof }),
      ...(call === undefined ? {} : { call }),
    });
  }
}

/** Whether the token can stand in the upstream's header. */
export function isInjectable(upstream: CheckUpstream, token: AccessToken): boolean {
  token.injectable ??= !notInHeader.test(injected(upstream, token.token.reveal()).value);
  return token.injectable;
}

/** The header that carries a token to the upstream. */
export function injected({ inject }: CheckUpstream, token: string): InjectedHeader {
  return { name: inject.header, value: injectedText(inject.format, token) };
}
