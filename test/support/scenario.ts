import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createGrantsClient, type GrantsClient } from "../../src/admin/grants-client.ts";
import { type HttpRequestOptions, httpRequest } from "./check-request.ts";
import { type CheckResponse, createExtAuthzClient, type ExtAuthzClient } from "./ext-authz-client.ts";
import type { Resources } from "./resources.ts";
import type { RotatingTokensOptions } from "./rotating-tokens.ts";
import { type RunningService, type ServiceOptions, startService } from "./service.ts";
import { type ShiftedClock, shiftedClock } from "./shifted-clock.ts";
import { startTokenEndpoint, type TokenEndpoint } from "./token-endpoint.ts";

/** A random value as an opaque session credential has to be. */
export const sessionId = "Zm9yLXRlc3RzLW9ubHktMDAwMA";

/** An answer in the words of HTTP. */
export interface Answer {
  readonly status: number;
  /** Headers that Envoy sets on the way upstream, or sends to the client. */
  readonly headers: Readonly<Record<string, string>>;
  readonly removed: readonly string[];
  readonly body: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** bearerswap with one upstream, `crm`, at a scripted provider; everything real but the clock, which can be moved. */
export interface Scenario {
  readonly service: RunningService;
  readonly provider: TokenEndpoint;
  readonly client: ExtAuthzClient;
  readonly admin: GrantsClient;
  readonly clock: ShiftedClock;
  /** Stores a login at the provider; `token` overrides what it answered. */
  login(options?: {
    id?: string;
    source?: string;
    subject?: string;
    upstream?: string;
    token?: object;
  }): Promise<{ accessToken: string; refreshToken: string }>;
  /** Reloads with other options; what is not given is as at the start. False where that was not taken over. */
  reload(options?: Pick<ScenarioOptions, "config" | "upstream" | "env">): boolean;
  /** One Check, for `crm` unless `contextExtensions` say otherwise. */
  check(options?: HttpRequestOptions, deadlineMs?: number): Promise<Answer>;
}

export interface ScenarioOptions {
  readonly config?: object;
  readonly upstream?: object;
  /** More upstreams. */
  readonly others?: object;
  readonly provider?: RotatingTokensOptions;
  readonly fetch?: ServiceOptions["fetch"];
  readonly env?: Readonly<Record<string, string>>;
}

const statusCodes: Readonly<Record<string, number>> = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  ServiceUnavailable: 503,
};

export async function startScenario(use: Resources, given: ScenarioOptions = {}): Promise<Scenario> {
  const { provider: rules = {}, others = {}, fetch, env = {} } = given;
  const dir = mkdtempSync(join(tmpdir(), "bearerswap-"));
  use.onStop(() => rmSync(dir, { recursive: true, force: true }));
  const clock = shiftedClock();
  const provider = await use.use(startTokenEndpoint(rules));
  const settingsOf = ({ config, upstream }: Pick<ScenarioOptions, "config" | "upstream">) => ({
    listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0", admin: `unix:${join(dir, "admin.sock")}` },
    sessions: [{ opaque: { from: { header: "authorization" } } }],
    upstreams: { crm: { tokenEndpoint: provider.url, clientId: "gateway", ...upstream }, ...others },
    ...config,
  });
  const service = await use.use(
    startService({ config: settingsOf(given), env, clock, ...(fetch === undefined ? {} : { fetch }) }),
  );
  const client = await use.use(createExtAuthzClient(service.grpc));
  const address = service.listening.admin;
  if (address === undefined) throw new Error("the scenario has no admin service");
  const admin = await use.use(createGrantsClient({ address }));

  return {
    service,
    provider,
    client,
    admin,
    clock,
    async login({ id = sessionId, source = "", subject = "", upstream: name = "crm", token = {} } = {}) {
      const answer = provider.tokens.login();
      const fields = {
        accessToken: answer.access_token,
        refreshToken: answer.refresh_token,
        tokenType: "Bearer",
        scope: "",
        expiresIn: answer.expires_in,
      };
      await admin.put({ session: { source, id }, upstream: name, subject, token: { ...fields, ...token } });
      return { accessToken: answer.access_token, refreshToken: answer.refresh_token };
    },
    reload: (options = {}) => service.reload(settingsOf({ ...given, ...options }), options.env ?? env),
    async check(options = {}, deadlineMs) {
      const request = httpRequest({ contextExtensions: { upstream: "crm" }, ...options });
      return answerOf(await client.check(request, deadlineMs === undefined ? {} : { deadlineMs }));
    },
  };
}

/** The request headers of the scenario's default session. */
export function bearer(credential: string = sessionId): { headers: Record<string, string> } {
  return { headers: { authorization: `Bearer ${credential}` } };
}

export function answerOf(response: CheckResponse): Answer {
  const { ok_response: ok, denied_response: denied, dynamic_metadata: metadata = {} } = response;
  const headers = Object.fromEntries((ok ?? denied)?.headers.map(({ header }) => [header.key, header.value]) ?? []);
  const status = ok === undefined ? statusCodes[denied?.status?.code ?? ""] : 200;
  if (status === undefined) throw new Error(`unexpected answer ${JSON.stringify(response)}`);
  return {
    status,
    headers,
    removed: ok?.headers_to_remove ?? [],
    body: denied ? JSON.parse(denied.body) : {},
    metadata,
  };
}
