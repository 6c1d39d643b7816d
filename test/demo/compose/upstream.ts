import { sendJson } from "../../support/http-servers.ts";
import { tokenHash } from "../../support/upstream-api.ts";
import { serve } from "./serve.ts";

// The demo's API: 200 for a bearer token that the identity provider calls active at this moment, else 401.
const { INTROSPECTION_ENDPOINT = "http://idp:9400/introspect", PORT = "9500" } = process.env;

serve(Number(PORT), async ({ headers, method, url: path }, response) => {
  const [, token = ""] = /^Bearer ([^\s,]+)$/.exec(headers.authorization ?? "") ?? [];
  const answer = await fetch(INTROSPECTION_ENDPOINT, { method: "POST", body: new URLSearchParams({ token }) });
  const { active } = (await answer.json()) as { active: boolean };
  if (active) sendJson(response, 200, { ok: true, method, path, token: tokenHash(token) });
  else sendJson(response, 401, { ok: false, path }, { "www-authenticate": 'Bearer error="invalid_token"' });
});
