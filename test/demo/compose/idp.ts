import { type HttpRequest, readBody, sendJson } from "../../support/http-servers.ts";
import { createRotatingTokens } from "../../support/rotating-tokens.ts";
import { serve } from "./serve.ts";

// The demo's identity provider: access tokens live 5 seconds, refresh tokens are good once, and the reuse of one ends the login.
const { ISSUER = "http://idp:9400", CLIENT_ID = "gateway", CLIENT_SECRET = "" } = process.env;
const tokens = createRotatingTokens({ expiresIn: 5 });
let refreshes = 0;

serve(Number(new URL(ISSUER).port), async (request, response) => {
  switch (`${request.method} ${request.url}`) {
    case "GET /.well-known/openid-configuration":
      return sendJson(response, 200, { issuer: ISSUER, token_endpoint: `${ISSUER}/token`, introspection_endpoint: `${ISSUER}/introspect` });
    case "POST /token": {
      if (!isClient(request)) return sendJson(response, 401, { error: "invalid_client" });
      const answer = tokens.refresh((await form(request)).get("refresh_token") ?? "");
      console.log(answer === undefined ? `refused a refresh; refresh tokens presented twice: ${tokens.reuses}` : `refresh ${++refreshes}`);
      return answer === undefined ? sendJson(response, 400, { error: "invalid_grant" }) : sendJson(response, 200, answer);
    }
    // In the place of a user who logs in.
    case "POST /login":
      return sendJson(response, 200, tokens.login());
    // For the API (RFC 7662).
    case "POST /introspect":
      return sendJson(response, 200, { active: tokens.isActive((await form(request)).get("token") ?? "") });
    default:
      return sendJson(response, 404, { error: "not_found" });
  }
});

/** client_secret_basic; both parts arrive percent-encoded (RFC 6749 §2.3.1). */
function isClient({ headers }: HttpRequest): boolean {
  const [, credentials = ""] = /^Basic (.+)$/.exec(headers.authorization ?? "") ?? [];
  const [id = "", secret = ""] = Buffer.from(credentials, "base64").toString().split(":").map(decodeURIComponent);
  return id === CLIENT_ID && secret === CLIENT_SECRET;
}

async function form(request: HttpRequest): Promise<URLSearchParams> {
  return new URLSearchParams(await readBody(request));
}
