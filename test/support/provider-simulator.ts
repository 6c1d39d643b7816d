import type { PresetName } from "../../src/providers/presets.ts";
import { type HttpRequest, readBody, startHttpServer } from "./http-servers.ts";
import { type SimulatedProvider, simulatedProviders } from "./simulated-providers.ts";
import { createTokenLedger, type TokenLedger } from "./token-ledger.ts";

export interface ProviderSimulator {
  readonly name: PresetName;
  readonly url: string;
  readonly provider: SimulatedProvider;
  readonly tokens: TokenLedger;
  /** What became of each request to the token endpoint, oldest first. */
  readonly refreshes: readonly ("tokens" | "refused" | "bad_client" | "bad_request")[];
  /** Requests to the revocation endpoint. */
  readonly revocations: number;
  /** The next revocation is answered so, and nothing is revoked. */
  failRevocation(status: number, headers?: Readonly<Record<string, string>>): void;
  stop(): Promise<void>;
}

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
  readonly headers: HttpRequest["headers"];
  readonly fields: Readonly<Record<string, unknown>>;
  readonly json: boolean;
}

/** A provider of the given name on a free port: its paths, its client authentication, its tokens and its words. */
export async function startProviderSimulator(name: PresetName, nowMs: () => number = Date.now): Promise<ProviderSimulator> {
  const provider = simulatedProviders[name];
  const tokens = createTokenLedger(name, provider.tokens, nowMs);
  const refreshes: ProviderSimulator["refreshes"][number][] = [];
  const failures: Answer[] = [];
  let revocations = 0;

  const server = await startHttpServer(async (request, response) => {
    const received = await receive(request);
    const { status, body, headers = {} } = answerTo(received);
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(body === undefined ? undefined : JSON.stringify(body));
  });

  return {
    name,
    url: server.url,
    provider,
    tokens,
    refreshes,
    get revocations() {
      return revocations;
    },
    failRevocation: (status, headers = {}) => void failures.push({ status, headers }),
    stop: server.stop,
  };

  function answerTo(received: Received): Answer {
    if (received.path === discoveryPath(provider)) return { status: 200, body: metadata(provider, server.url) };
    if (provider.header !== undefined && received.headers[provider.header] === undefined) return { status: 400, body: { code: "missing_version" } };
    if (received.path === provider.tokenPath && received.method === "POST") return refresh(received);
    const token = revokedToken(provider, received);
    return token === undefined ? { status: 404, body: { message: "Not Found" } } : revoke(token, received);
  }

  function refresh({ headers, fields, json }: Received): Answer {
    if (!knowsClient(provider.auth, headers.authorization, fields)) {
      refreshes.push("bad_client");
      return { status: 401, body: { error: "invalid_client" } };
    }
    if (fields.grant_type !== "refresh_token" || json !== (provider.json === true) || !headers.accept?.includes("application/json")) {
      refreshes.push("bad_request");
      return { status: 400, body: { error: "invalid_request" } };
    }
    const issued = tokens.refresh(String(fields.refresh_token));
    refreshes.push(issued === undefined ? "refused" : "tokens");
    return issued === undefined ? provider.refused : { status: 200, body: provider.accepted(issued, provider.tokens.accessSeconds) };
  }

  function revoke(token: string, { headers, fields }: Received): Answer {
    revocations++;
    const failure = failures.shift();
    if (failure !== undefined) return failure;
    const { auth = "none", kind, answer = { status: 200 } } = provider.revocation ?? {};
    const asked = auth === "client" ? provider.auth : auth === "basic" ? "basic_raw" : undefined;
    if (asked !== undefined && !knowsClient(asked, headers.authorization, fields)) return { status: 401, body: { error: "invalid_client" } };
    if (!token.startsWith(`${name}-${kind}-`) || !tokens.revoke(token)) return { status: 400, body: { error: "invalid_token" } };
    return answer;
  }
}

async function receive(request: HttpRequest): Promise<Received> {
  const body = await readBody(request);
  const json = request.headers["content-type"]?.startsWith("application/json") === true;
  const fields = json ? (JSON.parse(body) as Record<string, unknown>) : Object.fromEntries(new URLSearchParams(body));
  return { method: request.method ?? "", path: request.url ?? "", headers: request.headers, fields, json };
}

function knowsClient(auth: SimulatedProvider["auth"], authorization: string | undefined, fields: Received["fields"]): boolean {
  const { id, secret } = simulatedClient;
  if (auth === "post") return authorization === undefined && fields.client_id === id && fields.client_secret === secret;
  const credentials = Buffer.from(/^Basic (.+)$/.exec(authorization ?? "")?.[1] ?? "", "base64").toString();
  return (auth === "basic" ? decodeURIComponent(credentials) : credentials) === `${id}:${secret}`;
}

/** The token that a request to the revocation endpoint names; undefined where it is no such request. */
function revokedToken({ revocation }: SimulatedProvider, { method, path, headers, fields, json }: Received): string | undefined {
  if (revocation === undefined || method !== revocation.method) return undefined;
  const pattern = revocation.path.replace(/[.-]/g, "\\$&").replace("{clientId}", simulatedClient.id).replace("{token}", "([^/]+)");
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

function metadata({ issuerPath, tokenPath, revocation }: SimulatedProvider, url: string) {
  const revocationEndpoint = revocation === undefined ? {} : { revocation_endpoint: `${url}${revocation.path}` };
  return { issuer: `${url}${issuerPath}`, authorization_endpoint: `${url}/authorize`, token_endpoint: `${url}${tokenPath}`, ...revocationEndpoint };
}
