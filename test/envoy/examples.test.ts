import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { connectHeaders } from "../../src/connect/connect.ts";
import { formatAddress } from "../../src/platform/address.ts";
import { wantedBy } from "../../src/sessions/sources.ts";
import { createCertificateAuthority } from "../support/certificates.ts";
import { validateEnvoyConfig } from "../support/envoy-process.ts";
import { resources } from "../support/resources.ts";
import { at, durationMs, type Example, example, examples, examplesOf, findAll, type Tree } from "./examples.ts";

const { use } = resources();
const env = { CRM_CLIENT_SECRET: "secret", AS_CLIENT_SECRET: "secret" };
const pairs = examplesOf("envoy").map(
  (envoy) => [envoy.name, envoy, example(envoy.name.replace(/envoy(?=[^/]*$)/, "bearerswap"))] as const,
);

test("every file in envoy/ is of a kind that is loaded by a test", () => {
  expect(examples.filter((file) => file.kind === undefined).map((file) => file.name)).toEqual([]);
  expect(examplesOf("bearerswap").map((file) => file.name)).toEqual(
    pairs.map(([, , bearerswap]) => bearerswap.name).sort(),
  );
});

test.each(examplesOf("envoy").map((file) => [file.name, file] as const))("Envoy takes %s", async (_, file) => {
  const ca = await use(createCertificateAuthority());
  const { certPath, keyPath } = await ca.server();
  // As text: Envoy reads YAML by itself.
  const config = file.text.replace(
    /filename: (\/[^,}\s]+)/g,
    (_all, path: string) => `filename: ${path.endsWith("-key.pem") ? keyPath : certPath}`,
  );
  await validateEnvoyConfig(config, { mounts: [ca.dir] });
});

test.each(examplesOf("bearerswap").map((file) => [file.name, file] as const))(
  "bearerswap takes %s, and warns of the memory store alone",
  (_, file) => {
    const isMemory = "memory" in at<object>(file.documents[0], "store");
    expect(load(file).warnings).toEqual(isMemory ? [expect.stringMatching(/^store: memory/)] : []);
  },
);

describe.each(pairs)("%s and its service agree", (_, envoy, bearerswap) => {
  const filter = extAuthzOf(envoy);
  const config = () => load(bearerswap).config;

  test("on the address", () => {
    const { address, port_value } = at<{ address: string; port_value: number }>(
      endpointOf(envoy, "bearerswap"),
      "socket_address",
    );
    expect(formatAddress(config().listen.grpc)).toBe(`${address}:${port_value}`);
  });

  test("on timeouts: refresh < check < ext_authz", () => {
    const timeoutMs = durationMs(at(filter, "grpc_service.timeout"));
    const { refresh, check } = config();
    expect([refresh.timeoutMs < check.deadlineMs, check.deadlineMs < timeoutMs]).toEqual([true, true]);
  });

  test("on the upstreams' names", () => {
    const named = findAll<{ upstream: string }>(envoy.documents[0], "context_extensions").flatMap(({ upstream }) =>
      upstream.split(","),
    );
    expect([...new Set(named)]).toEqual(Object.keys(config().upstreams));
  });

  test("on headers: those that sessions come in, the one that log lines are matched by, and no others", () => {
    const { sessions, connect } = config();
    const inHeaders = wantedBy(
      sessions.filter(({ kind }) => kind === "jwt" || kind === "opaque" || kind === "cookie"),
    ).headers;
    const read = [...new Set([...inHeaders, ...(connect === undefined ? [] : connectHeaders)])].filter(
      (name) => !name.startsWith("x-envoy-"),
    );
    const allowed = at<{ exact: string }[]>(filter, "allowed_headers.patterns").map(({ exact }) => exact);
    expect([...allowed].sort()).toEqual([...read, "x-request-id"].sort());
  });

  test("on metadata: the namespaces that sessions come in, and no others", () => {
    const read = config().sessions.flatMap((source) => (source.kind === "metadata" ? [source.namespace] : []));
    expect(filter.metadata_context_namespaces ?? []).toEqual(read);
  });

  test("on client certificates: verified, and asked for, where sessions come in them", () => {
    const asked = findAll(envoy.documents[0], "require_client_certificate");
    expect(asked).toEqual(config().sessions.flatMap(({ kind }) => (kind === "principal" ? [true] : [])));
    expect(findAll(envoy.documents[0], "trust_chain_verification")).toEqual(asked.map(() => "VERIFY_TRUST_CHAIN"));
  });
});

test.each(examplesOf("envoy").map((file) => [file.name, file] as const))(
  "%s fails closed, with 503, on plain paths and hosts",
  (_, file) => {
    expect(extAuthzOf(file)).toMatchObject({
      failure_mode_allow: false,
      status_on_error: { code: "ServiceUnavailable" },
      clear_route_cache: false,
      grpc_service: { retry_policy: { retry_on: "connect-failure,refused-stream,reset-before-request" } },
      validate_mutations: true,
      encode_raw_headers: true,
    });
    // Envoy takes the longest pause between tries for the longest that a try may take.
    const { timeout, retry_policy } = at<Tree>(extAuthzOf(file), "grpc_service");
    expect(durationMs(at(retry_policy, "retry_back_off.max_interval"))).toBeGreaterThanOrEqual(
      durationMs(String(timeout)),
    );
    expect(at(file.documents[0], connectionManager)).toMatchObject({
      normalize_path: true,
      merge_slashes: true,
      path_with_escaped_slashes_action: "REJECT_REQUEST",
      common_http_protocol_options: { headers_with_underscores_action: "REJECT_REQUEST" },
      strip_any_host_port: true,
      strip_trailing_host_dot: true,
    });
    // Whole segments; jwt_authn's rule is for all paths.
    expect(findAll(at(file.documents[0], connectionManager), "prefix").filter((prefix) => prefix !== "/")).toEqual([]);
    expect(findAll(file.documents[0], "disabled")).toEqual([]);
  },
);

const connectionManager = "static_resources.listeners.0.filter_chains.0.filters.0.typed_config";

function load(file: Example) {
  return parseConfig(file.text, file.name, { env });
}

function extAuthzOf(file: Example): Tree {
  const filters = at<Tree[]>(file.documents[0], `${connectionManager}.http_filters`);
  return at(
    filters.find(({ name }) => name === "envoy.filters.http.ext_authz"),
    "typed_config",
  );
}

function endpointOf(file: Example, name: string): Tree {
  const cluster = at<Tree[]>(file.documents[0], "static_resources.clusters").find(
    (candidate) => candidate.name === name,
  );
  return at(cluster, "load_assignment.endpoints.0.lb_endpoints.0.endpoint.address");
}
