import { createHash, randomUUID } from "node:crypto";
import { type HttpRequest, type HttpResponse, readBody, sendJson } from "../../support/http-servers.ts";
import { loginDecision, sendLoginPage } from "../../support/login-page.ts";
import type { TokenAnswer } from "../../support/rotating-tokens.ts";

export interface AuthorizationOptions {
  readonly issuer: string;
  readonly clientId: string;
  /** The one place that users are sent back to. */
  readonly redirectUri: string;
  /** What a finished login yields. */
  readonly login: () => TokenAnswer;
}

/** The demo provider's authorization code flow, with PKCE (RFC 7636). */
export interface Authorization {
  /** The authorization endpoint: shows a login page, and sends the user back with a code or with `access_denied`. */
  authorize(request: HttpRequest, response: HttpResponse): Promise<void>;
  /** Redeems a code, once; undefined means invalid_grant. */
  redeem(form: URLSearchParams): TokenAnswer | undefined;
}

export function createAuthorization({ issuer, clientId, redirectUri, login }: AuthorizationOptions): Authorization {
  const challenges = new Map<string, string>();

  return {
    async authorize(request, response) {
      const asked = new URL(request.url ?? "", issuer).searchParams;
      const challenge = asked.get("code_challenge");
      // Without these nobody may be sent anywhere (RFC 6749 §4.1.2.1), so that it is said here.
      if (asked.get("client_id") !== clientId || asked.get("redirect_uri") !== redirectUri)
        return sendJson(response, 400, {
          error: "invalid_request",
          error_description: `only client ${clientId} with redirect_uri ${redirectUri} is known here`,
        });
      if (challenge === null || asked.get("code_challenge_method") !== "S256")
        return sendBack(response, asked, { error: "invalid_request" });
      if (request.method !== "POST") return sendLoginPage(response, { client: clientId, account: "ada@example.com" });
      if (loginDecision(await readBody(request)).account === undefined)
        return sendBack(response, asked, { error: "access_denied" });
      const code = randomUUID();
      challenges.set(code, challenge);
      sendBack(response, asked, { code });
    },

    redeem(form) {
      const code = form.get("code") ?? "";
      const challenge = challenges.get(code);
      challenges.delete(code);
      const verified = createHash("sha256")
        .update(form.get("code_verifier") ?? "")
        .digest("base64url");
      return challenge === verified && form.get("redirect_uri") === redirectUri ? login() : undefined;
    },
  };

  function sendBack(response: HttpResponse, asked: URLSearchParams, answer: Readonly<Record<string, string>>): void {
    const to = new URL(redirectUri);
    for (const [name, value] of Object.entries({ ...answer, state: asked.get("state") ?? "", iss: issuer }))
      to.searchParams.set(name, value);
    response.writeHead(303, { location: to.href }).end();
  }
}
