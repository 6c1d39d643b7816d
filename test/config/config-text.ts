import { expect } from "vitest";
import { type LoadedConfig, parseConfig } from "../../src/config/load.ts";
import { BearerswapError } from "../../src/platform/error.ts";

export const environment: Readonly<Record<string, string>> = {
  CRM_SECRET: "crm-secret-value",
  ADMIN_TOKEN: "admin-secret-value",
  REDIS_PASSWORD: "redis-secret-value",
};

export const jwtSource = {
  jwt: { issuer: "https://as.example.com", audience: "https://gateway.example.com", claim: "tsid" },
};
export const crm = { issuer: "https://idp.example.com", clientId: "gateway", clientSecret: "${env:CRM_SECRET}" };

/** The smallest configuration that can be served. */
export const minimal = { listen: { grpc: "127.0.0.1:9191" }, sessions: [jwtSource], upstreams: { crm } };

/** Loads `minimal` with some sections replaced, or a YAML text. */
export function load(config: string | Readonly<Record<string, unknown>>, env = environment): LoadedConfig {
  return parseConfig(typeof config === "string" ? config : JSON.stringify({ ...minimal, ...config }), "gateway.yaml", {
    env,
  });
}

/**
 * Every problem without its line's number, in the order of the file; none where it can be served. See {@link
 * placedProblemsOf}.
 */
export function problemsOf(config: string | Readonly<Record<string, unknown>>, env = environment): string[] {
  return placedProblemsOf(config, env).map((line) => line.replace(/^line \d+: /, "").replace(/ \(line \d+\)/, ""));
}

/** Every problem, one a line. Fails the test where the message is not of the promised form, or holds a secret. */
export function placedProblemsOf(config: string | Readonly<Record<string, unknown>>, env = environment): string[] {
  try {
    load(config, env);
    return [];
  } catch (error) {
    if (!(error instanceof BearerswapError)) throw error;
    expect(error.code).toBe("config");
    expect(error.message).not.toMatch(/secret-value|hunter2/);
    const [head, ...lines] = error.message.split("\n");
    expect(head).toBe(`gateway.yaml: ${lines.length === 1 ? "1 problem" : `${lines.length} problems`}`);
    return lines.map((line) => line.replace(/^ {2}/, ""));
  }
}
