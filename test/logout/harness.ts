import { randomUUID } from "node:crypto";
import type { JWTPayload } from "jose";
import { type JwtIssuer, type SignOptions, startJwtIssuer } from "../support/jwt-issuer.ts";
import type { Resources } from "../support/resources.ts";
import { bearer, type Scenario, type ScenarioOptions, startScenario } from "../support/scenario.ts";

/** Claims of a logout token, as wrong as a test wants them. */
export type LogoutClaims = Readonly<Record<string, unknown>>;

/** What was answered to a logout; `body` is empty where there is none. */
export interface LogoutAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, string>>;
}

/** bearerswap with JWT sessions whose issuer may end them. */
export interface LogoutWorld {
  readonly issuer: JwtIssuer;
  readonly scenario: Scenario;
  /** Signs a logout token, right unless claims and options say otherwise; undefined takes a claim out. */
  token(claims: LogoutClaims, options?: SignOptions): Promise<string>;
  /** Signs a logout token and posts it. */
  logout(claims: LogoutClaims, options?: SignOptions): Promise<LogoutAnswer>;
  post(token: string): Promise<LogoutAnswer>;
  /** Posts anything. */
  send(init: RequestInit): Promise<LogoutAnswer>;
  /** Stores a grant for the session, which is then seen once. */
  login(session: TestSession): Promise<void>;
  /** Status and reason of a Check by the session. */
  ask(session: TestSession, at?: Scenario): Promise<string>;
}

/** The claims of a session's token; `tsid` is its id here. */
export interface TestSession {
  readonly tsid: string;
  readonly sid?: string;
  readonly sub?: string;
}

export const event = "http://schemas.openid.net/event/backchannel-logout";

/** @param jwt settings of the source; `issuer` shares one with another world */
export async function startLogoutWorld(
  use: Resources,
  jwt: object = {},
  { issuer: shared, ...options }: ScenarioOptions & { readonly issuer?: JwtIssuer } = {},
): Promise<LogoutWorld> {
  const issuer = shared ?? (await use.use(startJwtIssuer()));
  const source = {
    issuer: issuer.issuer,
    audience: "gw",
    claim: "tsid",
    backchannelLogout: { audience: "client" },
    ...jwt,
  };
  const config = { sessions: [{ name: "agents", jwt: source }], ...options.config };
  const scenario = await startScenario(use, { ...options, config });

  const world: LogoutWorld = {
    issuer,
    scenario,
    token: (claims, options) =>
      issuer.sign({ aud: "client", jti: randomUUID(), events: { [event]: {} }, ...claims } as JWTPayload, {
        typ: "logout+jwt",
        ...options,
      }),
    logout: async (claims, options) => world.post(await world.token(claims, options)),
    post: (token) => world.send({ method: "POST", body: new URLSearchParams({ logout_token: token }) }),
    async send(init) {
      const response = await fetch(logoutUrl(scenario), init);
      const text = await response.text();
      return { status: response.status, headers: response.headers, body: text === "" ? {} : JSON.parse(text) };
    },
    async login(session) {
      await scenario.login({ id: session.tsid, subject: session.sub ?? "" });
      await world.ask(session);
    },
    async ask(session, at = scenario) {
      const { status, body } = await at.check(bearer(await issuer.sign({ aud: "gw", ...session })));
      return status === 200 ? "200" : `${status} ${body.reason}`;
    },
  };
  return world;
}

function logoutUrl({ service }: Scenario): string {
  const place = service.listening.http;
  if (place?.kind !== "tcp") throw new Error("the scenario has no HTTP listener");
  return `http://${place.host}:${place.port}/backchannel-logout`;
}
