import { type HttpRequest, readBody, sendJson } from "../../support/http-servers.ts";
import { createRotatingTokens, type TokenAnswer } from "../../support/rotating-tokens.ts";
import { createAuthorization } from "./authorization.ts";
import { serve } from "./serve.ts";

// The demo's identity provider: access tokens live 5 seconds, refresh tokens are good once, and the reuse of one ends
// the login. The other containers find it by its name in ISSUER, browsers on the host at PUBLIC_URL.
const {
  ISSUER = "http://idp:9400",
  PUBLIC_URL = ISSUER,
  CLIENT_ID = "gateway",
  CLIENT_SECRET = "",
  REDIRECT_URI = "",
} = process.env;
const tokens = createRotatingTokens({ expiresIn: 5 });
const { authorize, redeem } = createAuthorization({
  issuer: ISSUER,
  clientId: CLIENT_ID,
  redirectUri: REDIRECT_URI,
  login: tokens.login,
});
const metadata = {
  issuer: ISSUER,
  authorization_endpoint: `${PUBLIC_URL}/authorize`,
  token_endpoint: `${ISSUER}/token`,
  introspection_endpoint: `${ISSUER}/introspect`,
  authorization_response_iss_parameter_supported: true,
};
let refreshes = 0;

serve(Number(new URL(ISSUER).port), async (request, response) => {
  const [path] = (request.url ?? "").split("?");
  switch (`${request.method} ${path}`) {
    case "GET /.well-known/openid-configuration":
      return sendJson(response, 200, metadata);
    case "GET /authorize":
    case "POST /authorize":
      return authorize(request, response);
    case "POST /token": {
      if (!isClient(request)) return sendJson(response, 401, { error: "invalid_client" });
      const answer = grant(await form(request));
      return answer === undefined
        ? sendJson(response, 400, { error: "invalid_grant" })
        : sendJson(response, 200, answer);
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

function grant(asked: URLSearchParams): TokenAnswer | undefined {
  if (asked.get("grant_type") === "authorization_code") {
    const answer = redeem(asked);
    console.log(answer === undefined ? "refused a code" : "a user has logged in");
    return answer;
  }
  const answer = tokens.refresh(asked.get("refresh_token") ?? "");
  console.log(
    answer === undefined
      ? `refused a refresh; refresh tokens presented twice: ${tokens.reuses}`
      : `refresh ${++refreshes}`,
  );
  return answer;
}

/** client_secret_basic; both parts arrive percent-encoded (RFC 6749 §2.3.1). */
function isClient({ headers }: HttpRequest): boolean {
  const [, credentials = ""] = /^Basic (.+)$/.exec(headers.authorization ?? "") ?? [];
  const [id = "", secret = ""] = Buffer.from(credentials, "base64").toString().split(":").map(decodeURIComponent);
  return id === CLIENT_ID && secret === CLIENT_SECRET;
}

async function form(request: HttpRequest): Promise<URLSearchParams> {
  return new URLSearchParams(await readBody(request));
}
