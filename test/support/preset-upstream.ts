import { parseConfig } from "../../src/config/load.ts";
import type { UpstreamConfig } from "../../src/config/upstreams-schema.ts";
import { type ProviderSimulator, simulatedClient } from "./provider-simulator.ts";

/**
 * An upstream of the simulator's preset as an operator would write it, but for its endpoints: the real paths, at the
 * simulator.
 */
export function presetUpstream({ name, url, provider }: ProviderSimulator): object {
  const written = {
    preset: name,
    ...provider.parameters,
    clientId: simulatedClient.id,
    clientSecret: "${env:PRESET_SECRET}",
  };
  return { ...written, ...endpointsAt(url, configOf(written)) };
}

/** The same, where users connect their accounts by themselves. */
export function connectedUpstream(simulator: ProviderSimulator): object {
  const { url, login } = simulator;
  const upstream = presetUpstream(simulator);
  const { authorizationEndpoint } = configOf({ ...upstream, connect: login.operator }).connect ?? {};
  const moved =
    authorizationEndpoint === undefined ? {} : { authorizationEndpoint: movedTo(url, authorizationEndpoint) };
  return { ...upstream, connect: { ...login.operator, ...moved } };
}

/** What {@link presetUpstream} needs in the environment. */
export const presetEnvironment = { PRESET_SECRET: simulatedClient.secret };

function configOf(upstream: object): UpstreamConfig {
  const section = "connect" in upstream ? { connect: { publicUrl: "https://gateway.example.com" } } : {};
  const config = {
    listen: { grpc: "127.0.0.1:0" },
    sessions: [{ opaque: { from: { cookie: "s" } } }],
    ...section,
    upstreams: { it: upstream },
  };
  const { it } = parseConfig(JSON.stringify(config), "preset.yaml", { env: presetEnvironment }).config.upstreams;
  if (it === undefined) throw new Error("the upstream is gone");
  return it;
}

function endpointsAt(url: string, { issuer, tokenEndpoint, revocationEndpoint, revocation }: UpstreamConfig): object {
  const there = (real: string) => movedTo(url, real);
  const endpoints = Object.entries({ issuer, tokenEndpoint, revocationEndpoint });
  const moved = Object.fromEntries(
    endpoints.flatMap(([key, real]) => (real === undefined ? [] : [[key, there(real)]])),
  );
  return revocation === undefined ? moved : { ...moved, revocation: { url: there(revocation.url) } };
}

function movedTo(url: string, real: string): string {
  return real.replace(/^https:\/\/[^/]+/, url);
}
