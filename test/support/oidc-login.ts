import { createHash, randomBytes } from "node:crypto";

export interface OidcClient {
  readonly id: string;
  readonly secret: string;
  readonly method: "client_secret_basic" | "client_secret_post";
}

export interface OidcTokens {
  readonly access_token: string;
  readonly refresh_token: string;
  readonly id_token: string;
  readonly expires_in: number;
  readonly token_type: string;
  readonly scope: string;
}

export interface OidcLogin {
  readonly issuer: string;
  readonly client: OidcClient;
  readonly redirectUri: string;
  /** The user; becomes the `sub` claim. */
  readonly account: string;
  readonly scope: string;
}

/** Logs a user in by the authorization code flow with PKCE, each time as a new browser. */
export async function loginByCode({ issuer, client, redirectUri, account, scope }: OidcLogin): Promise<OidcTokens> {
  const verifier = randomBytes(32).toString("base64url");
  const state = randomBytes(8).toString("hex");
  const authorization = new URL(`${issuer}/auth`);
  authorization.search = new URLSearchParams({
    client_id: client.id,
    redirect_uri: redirectUri,
    response_type: "code",
    scope,
    prompt: "consent",
    login_hint: account,
    state,
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
  }).toString();
  const callback = await visitAsBrowser(authorization.href);
  const code = callback.searchParams.get("code");
  if (code === null || callback.searchParams.get("state") !== state)
    throw new Error(`the login failed: ${callback.search}`);
  const response = await postForm(`${issuer}/token`, client, {
    grant_type: "authorization_code",
    code,
    redirect_uri: redirectUri,
    code_verifier: verifier,
  });
  if (!response.ok) throw new Error(`the code was refused: ${await response.text()}`);
  return (await response.json()) as OidcTokens;
}

/** Follows redirects with cookies, as a browser does, and returns the first URL on another origin, unvisited. */
export async function visitAsBrowser(start: string): Promise<URL> {
  const cookies = new Map<string, string>();
  let url = new URL(start);
  const { origin } = url;
  for (let hops = 0; hops < 10; hops++) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, { redirect: "manual", headers: { cookie } });
    for (const [name, value] of response.headers.getSetCookie().map(parseCookie)) cookies.set(name, value);
    const location = response.headers.get("location");
    if (location === null) throw new Error(`${url.pathname} answered ${response.status}: ${await response.text()}`);
    await response.body?.cancel();
    url = new URL(location, url);
    if (url.origin !== origin) return url;
  }
  throw new Error(`${start} redirects without end`);
}

function parseCookie(header: string): [string, string] {
  const [pair = ""] = header.split(";");
  const split = pair.indexOf("=");
  return [pair.slice(0, split), pair.slice(split + 1)];
}

/** Posts a form as this client, authenticated by its own method. */
export function postForm(url: string, client: OidcClient, form: Record<string, string>): Promise<Response> {
  const basic = client.method === "client_secret_basic";
  const body = new URLSearchParams(basic ? form : { ...form, client_id: client.id, client_secret: client.secret });
  const credentials = Buffer.from(`${encodeURIComponent(client.id)}:${encodeURIComponent(client.secret)}`).toString(
    "base64",
  );
  return fetch(url, { method: "POST", body, headers: basic ? { authorization: `Basic ${credentials}` } : {} });
}
