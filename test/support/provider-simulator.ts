import type { PresetName } from "../../src/providers/presets.ts";
import { type HttpRequest, readBody, startHttpServer } from "./http-servers.ts";
import { createLoginSimulator, type LoginSimulator } from "./login-simulator.ts";
import { type SimulatedError, type SimulatedProvider, simulatedProviders } from "./simulated-providers.ts";
import { createTokenLedger, type IssuedTokens, type TokenLedger } from "./token-ledger.ts";

export interface ProviderSimulator {
  readonly name: PresetName;
  readonly url: string;
  readonly provider: SimulatedProvider;
  readonly tokens: TokenLedger;
  readonly login: LoginSimulator["login"];
  /** What became of each refresh at the token endpoint, oldest first. */
  readonly refreshes: readonly Outcome[];
  /** What became of each code there. */
  readonly logins: readonly Outcome[];
  /** The tokens that codes were exchanged for, oldest first. */
  readonly issued: readonly IssuedTokens[];
  /** Requests to the revocation endpoint. */
  readonly revocations: number;
  /** The next refresh is answered so, and uses nothing up. */
  failRefresh(answer: SimulatedError): void;
  /** The next revocation is answered so, and nothing is revoked. */
  failRevocation(status: number, headers?: Readonly<Record<string, string>>): void;
  stop(): Promise<void>;
}

type Outcome = "tokens" | "refused" | "bad_client" | "bad_request" | "failed";

/** The client that every simulated provider knows; form-encoding would change its id and its secret. */
export const simulatedClient = { id: "gate-way.1", secret: "s3cr3t-value_1~" };

interface Answer {
  readonly status: number;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Received {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: HttpRequest["headers"];
  readonly fields: Readonly<Record<string, unknown>>;
  readonly json: boolean;
}

/** A provider of the given name on a free port: its paths, its client authentication, its tokens and its words. */
export async function startProviderSimulator(
  name: PresetName,
  nowMs: () => number = Date.now,
): Promise<ProviderSimulator> {
  const provider = simulatedProviders[name];
  const tokens = createTokenLedger(name, provider.tokens, nowMs);
  const refreshes: Outcome[] = [];
  const logins: Outcome[] = [];
  const issued: IssuedTokens[] = [];
  const failures: Answer[] = [];
  const failedRefreshes: SimulatedError[] = [];
  let revocations = 0;

  const server = await startHttpServer(async (request, response) => {
    const received = await receive(request);
    const { status, body, headers = {} } = answerTo(received);
    // GitHub answers in a form unless it is asked for JSON.
    const json = name !== "github" || received.headers.accept?.includes("json") === true;
    response.writeHead(status, {
      "content-type": json ? "application/json" : "application/x-www-form-urlencoded",
      ...headers,
    });
    response.end(
      body === undefined
        ? undefined
        : json
          ? JSON.stringify(body)
          : String(new URLSearchParams(body as Record<string, string>)),
    );
  });
  const loginSimulator = createLoginSimulator({ name, url: server.url, clientId: simulatedClient.id, tokens });

  return {
    name,
    url: server.url,
    provider,
    tokens,
    login: loginSimulator.login,
    refreshes,
    logins,
    issued,
    get revocations() {
      return revocations;
    },
    failRefresh: (answer) => void failedRefreshes.push(answer),
    failRevocation: (status, headers = {}) => void failures.push({ status, headers }),
    stop: server.stop,
  };

  function answerTo(received: Received): Answer {
    if (received.path === discoveryPath(provider))
      return { status: 200, body: metadata(provider, loginSimulator.login, server.url) };
    if (received.path === loginSimulator.login.authorizationPath && received.method === "GET")
      return authorize(received);
    if (provider.header !== undefined && received.headers[provider.header] === undefined)
      return { status: 400, body: { code: "missing_version" } };
    if (received.path === provider.tokenPath && received.method === "POST") return token(received);
    const ended = revokedToken(provider, received);
    return ended === undefined ? { status: 404, body: { message: "Not Found" } } : revoke(ended, received);
  }

  function authorize({ query }: Received): Answer {
    const answer = loginSimulator.authorize(query);
    return "problem" in answer
      ? { status: 400, body: answer }
      : { status: 302, headers: { location: answer.location } };
  }

  function token({ headers, fields, json }: Received): Answer {
    const isLogin = fields.grant_type === "authorization_code";
    const outcomes = isLogin ? logins : refreshes;
    if (!knowsClient(provider.auth, headers.authorization, fields)) {
      outcomes.push("bad_client");
      return { status: 401, body: { error: "invalid_client" } };
    }
    const isKnown = isLogin || fields.grant_type === "refresh_token";
    if (!isKnown || json !== (provider.json === true)) {
      outcomes.push("bad_request");
      return { status: 400, body: { error: "invalid_request" } };
    }
    return isLogin ? redeem(fields) : refresh(fields);
  }

  function redeem(fields: Received["fields"]): Answer {
    const { login } = loginSimulator;
    const result = loginSimulator.redeem(fields);
    logins.push(result === "refused" ? "refused" : "problem" in result ? "bad_request" : "tokens");
    if (result === "refused") return login.refused;
    if ("problem" in result)
      return { status: 400, body: { error: "invalid_request", error_description: result.problem } };
    issued.push(result.tokens);
    return { status: 200, body: (login.accepted ?? provider.accepted)(result.tokens, provider.tokens.accessSeconds) };
  }

  function refresh(fields: Received["fields"]): Answer {
    const failed = failedRefreshes.shift();
    if (failed !== undefined) {
      refreshes.push("failed");
      return failed;
    }
    const next = tokens.refresh(String(fields.refresh_token));
    refreshes.push(next === undefined ? "refused" : "tokens");
    return next === undefined
      ? provider.refused
      : { status: 200, body: provider.accepted(next, provider.tokens.accessSeconds) };
  }

  function revoke(token: string, { headers, fields }: Received): Answer {
    revocations++;
    const failure = failures.shift();
    if (failure !== undefined) return failure;
    const { auth = "none", kind, answer = { status: 200 } } = provider.revocation ?? {};
    const asked = auth === "client" ? provider.auth : auth === "basic" ? "basic_raw" : undefined;
    if (asked !== undefined && !knowsClient(asked, headers.authorization, fields))
      return { status: 401, body: { error: "invalid_client" } };
    if (!token.startsWith(`${name}-${kind}-`) || !tokens.revoke(token))
      return { status: 400, body: { error: "invalid_token" } };
    return answer;
  }
}

async function receive(request: HttpRequest): Promise<Received> {
  const body = await readBody(request);
  const json = request.headers["content-type"]?.startsWith("application/json") === true;
  const fields = json ? (JSON.parse(body) as Record<string, unknown>) : Object.fromEntries(new URLSearchParams(body));
  const [path = "", search = ""] = (request.url ?? "").split("?");
  return {
    method: request.method ?? "",
    path,
    query: new URLSearchParams(search),
    headers: request.headers,
    fields,
    json,
  };
}

function knowsClient(
  auth: SimulatedProvider["auth"],
  authorization: string | undefined,
  fields: Received["fields"],
): boolean {
  const { id, secret } = simulatedClient;
  if (auth === "post") return authorization === undefined && fields.client_id === id && fields.client_secret === secret;
  const credentials = Buffer.from(/^Basic (.+)$/.exec(authorization ?? "")?.[1] ?? "", "base64").toString();
  return (auth === "basic" ? decodeURIComponent(credentials) : credentials) === `${id}:${secret}`;
}

/** The token that a request to the revocation endpoint names; undefined where it is no such request. */
function revokedToken(
  { revocation }: SimulatedProvider,
  { method, path, headers, fields, json }: Received,
): string | undefined {
  if (revocation === undefined || method !== revocation.method) return undefined;
  const pattern = revocation.path
    .replace(/[.-]/g, "\\$&")
    .replace("{clientId}", simulatedClient.id)
    .replace("{token}", "([^/]+)");
  const match = new RegExp(`^${pattern}$`).exec(path);
  if (match === null) return undefined;
  if (revocation.token === "path") return decodeURIComponent(match[1] ?? "");
  if (revocation.token === "bearer") return /^Bearer (.+)$/.exec(headers.authorization ?? "")?.[1] ?? "";
  if ("json" in revocation.token) return json ? String(fields[revocation.token.json]) : "";
  return json ? "" : String(fields[revocation.token.form]);
}

function discoveryPath({ issuerPath }: SimulatedProvider): string | undefined {
  return issuerPath === undefined ? undefined : `${issuerPath.replace(/\/$/, "")}/.well-known/openid-configuration`;
}

function metadata(
  { issuerPath, tokenPath, revocation }: SimulatedProvider,
  { authorizationPath, iss }: LoginSimulator["login"],
  url: string,
) {
  return {
    issuer: `${url}${issuerPath}`,
    authorization_endpoint: `${url}${authorizationPath}`,
    token_endpoint: `${url}${tokenPath}`,
    ...(iss === undefined ? {} : { authorization_response_iss_parameter_supported: true }),
    ...(revocation === undefined ? {} : { revocation_endpoint: `${url}${revocation.path}` }),
  };
}
