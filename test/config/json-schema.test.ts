import { globSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { configJsonSchema, sections } from "../../src/config/schema.ts";
import { crm, environment, load, minimal } from "./config-text.ts";

interface Schema {
  readonly [keyword: string]: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
}

const committed = JSON.parse(readFileSync(new URL("../../config.schema.json", import.meta.url), "utf8")) as Schema;
const validator = z.fromJSONSchema(committed as never);

/** Every key there is, in a form that can be served. */
const complete = `
listen: {grpc: "unix:/run/bearerswap.sock", grpcMode: "0660", http: "127.0.0.1:9192", admin: "unix:/run/bearerswap-admin.sock", adminToken: "\${env:ADMIN_TOKEN}"}
sessions:
  - name: agents
    jwt: {from: {header: authorization}, issuer: https://as.example.com, audience: [https://gateway.example.com], jwks: https://as.example.com/jwks, claim: tsid, subject: sub, clockTolerance: 5s, jwksCooldown: 1m, allowInsecure: false}
  - metadata: {namespace: envoy.filters.http.jwt_authn, path: [payload, tsid], subject: [payload, sub], strip: [x-id]}
  - opaque: {from: {cookie: __Host-session}}
  - principal: {trustDomains: [example.org]}
store: {redis: {url: "redis://127.0.0.1:6379", username: gateway, password: "\${env:REDIS_PASSWORD}", keyPrefix: "bearerswap:", commandTimeout: 2s, connectTimeout: 5s, database: 2, connectionName: gateway}, encryption: {keys: [{id: k1, key: "\${env:SEALING_KEY}"}], allowPlain: true}}
upstreams:
  crm: {issuer: https://idp.example.com, tokenEndpoint: https://idp.example.com/token, clientId: gateway, clientSecret: "\${env:CRM_SECRET}", clientAuth: client_secret_basic, parameters: {scope: a, resource: [b, c]}, inject: {header: authorization, format: "Bearer {token}"}, killsOldAccess: true, refreshTokenLife: 90d, allowInsecure: false}
  wiki: {tokenEndpoint: https://wiki.example.com/token, clientId: gateway, accessTokenLife: 2h, revocation: {method: DELETE, url: "https://wiki.example.com/grants/{token}", auth: basic, token: access, json: {id: "{clientId}"}}, clientSecret: "\${env:CRM_SECRET}", request: {body: json, headers: {x-a: b}}, response: {root: [data], fallbackTokenType: user, accessToken: [a], refreshToken: [r], expiresIn: [e], expiresInUnit: ms, expiresAt: [u], refreshExpiresIn: [l], scope: [s]}, errors: {path: [status], refused: [a], misconfigured: [b], transient: [c], unknown: [d]}}
  chat: {preset: slack, tokens: user, clientId: gateway, clientSecret: "\${env:CRM_SECRET}", errors: null}
refresh: {minRemaining: 10s, ahead: 60s, timeout: 10s}
check: {deadline: 12s, realm: crm, resourceMetadata: https://gateway.example.com/.well-known/oauth-protected-resource}
cache: {maxSessions: 1000}
routes: [{host: crm.example.com, pathPrefix: /, upstream: crm}, {pathPrefix: /health, passthrough: true}]
log: {level: info, format: json}
shutdown: {timeout: 20s}
`;

describe("config.schema.json", () => {
  test("is what the program knows: run `npm run generate` after a change of the configuration", () => {
    expect(committed).toEqual(JSON.parse(JSON.stringify(configJsonSchema())));
  });

  test("is a JSON Schema of draft 2020-12, with every key closed and nothing required that has a default", () => {
    expect(committed).toMatchObject({
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      required: ["listen", "sessions", "upstreams"],
      additionalProperties: false,
    });
    expect(Object.keys(committed.properties ?? {})).toEqual(Object.keys(sections));
    for (const schema of objectsIn(committed)) {
      expect(schema.additionalProperties, JSON.stringify(Object.keys(schema.properties ?? {}))).not.toBeUndefined();
      for (const name of (schema.required as string[] | undefined) ?? [])
        expect(schema.properties?.[name]).not.toHaveProperty("default");
    }
  });

  test("shows the defaults that the program uses", () => {
    const sectionsOf = (names: readonly string[]) =>
      Object.fromEntries(names.map((name) => [name, defaultsOf(committed.properties?.[name])]));
    const stated = sectionsOf(["refresh", "check", "cache", "log", "shutdown"]);
    expect(stated.refresh).toEqual({ minRemaining: "10s", ahead: "60s", timeout: "10s", holdOff: "3s" });
    expect(load(stated).config).toEqual(load({}).config);
    const redis = { url: "redis://127.0.0.1:6379" };
    const stored = defaultsOf(committed.properties?.store?.properties?.redis);
    expect(load({ store: { redis: { ...stored, ...redis } } }).config).toEqual(load({ store: { redis } }).config);
  });

  test("accepts what the program accepts", () => {
    expect(() => load(complete, { ...environment, SEALING_KEY: "A".repeat(43) })).not.toThrow();
    const [password, natMap] = ["${env:REDIS_PASSWORD}", { "10.0.0.1:6379": "127.0.0.1:7000" }];
    const stores = [
      { memory: null },
      { memory: { maxGrants: 5 } },
      {
        redis: {
          sentinel: { name: "m", nodes: ["127.0.0.1:26379"], username: "u", password, tls: {}, natMap },
          tls: { minVersion: "TLSv1.3" },
        },
      },
      { redis: { cluster: { nodes: ["127.0.0.1:7000"], natMap }, tls: { serverName: "redis" } } },
    ];
    for (const store of stores) expect(() => load({ store })).not.toThrow();
    for (const config of [minimal, parse(complete), ...stores.map((store) => ({ ...minimal, store }))])
      expect(validator.safeParse(config).error?.issues ?? []).toEqual([]);
  });

  test("accepts the examples in envoy/, which an editor shows with it", () => {
    const examples = globSync("envoy/bearerswap*.yaml", { cwd: new URL("../..", import.meta.url) });
    expect(examples).toContain("envoy/bearerswap.yaml");
    for (const example of examples)
      expect(
        validator.safeParse(parse(readFileSync(new URL(`../../${example}`, import.meta.url), "utf8"))).error?.issues ??
          [],
        example,
      ).toEqual([]);
  });

  test.each<[what: string, config: object]>([
    ["an unknown section", { ...minimal, tracing: {} }],
    ["an unknown key of an upstream", { ...minimal, upstreams: { crm: { ...crm, client_id: "x" } } }],
    ["a duration without unit", { ...minimal, refresh: { timeout: "10" } }],
    ["a number for a duration", { ...minimal, refresh: { timeout: 10 } }],
    ["no sessions", { ...minimal, sessions: [] }],
    ["an unknown log level", { ...minimal, log: { level: "loud" } }],
    ["a negative database", { ...minimal, store: { redis: { url: "redis://h", database: -1 } } }],
    [
      "a sealing key without id",
      { ...minimal, store: { redis: { url: "redis://h" }, encryption: { keys: [{ key: "${env:K1}" }] } } },
    ],
    ["a store prefix with braces", { ...minimal, store: { redis: { url: "redis://h", keyPrefix: "{x}" } } }],
  ])("shows an editor %s", (_what, config) => {
    expect(validator.safeParse(config).success).toBe(false);
  });
});

/** What a mapping's own keys are where the file does not say them. */
function defaultsOf({ properties = {} }: Schema = {}): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(properties).flatMap(([key, schema]) => ("default" in schema ? [[key, schema.default]] : [])),
  );
}

function objectsIn(schema: unknown): Schema[] {
  if (typeof schema !== "object" || schema === null) return [];
  const inner = Object.values(schema).flatMap(objectsIn);
  return "type" in schema && schema.type === "object" ? [schema as Schema, ...inner] : inner;
}
