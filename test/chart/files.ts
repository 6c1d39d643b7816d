import { basename, join } from "node:path";
import { stringify } from "yaml";
import { example, examplesOf, findAll, replaceAll } from "../envoy/examples.ts";
import { valuesSchema } from "./values-schema.ts";

export const chartsDir = join(import.meta.dirname, "../../charts");
export const chartDir = join(chartsDir, "bearerswap");
/** A chart that has bearerswap as a sidecar. */
export const sidecarExample = join(chartsDir, "examples/envoy-sidecar");

/** What the charts hold of things that are written elsewhere, since Helm reads nothing outside of a chart. */
export function chartFiles(): Readonly<Record<string, string>> {
  return {
    "bearerswap/values.schema.json": `${JSON.stringify(valuesSchema(), undefined, 2)}\n`,
    "bearerswap/files/bearerswap-alerts.yaml": example("prometheus/bearerswap-alerts.yaml").text,
    ...Object.fromEntries(
      examplesOf("dashboard").map(({ name, text }) => [`bearerswap/files/${basename(name)}`, text]),
    ),
    "bearerswap/files/heal-filters.yaml": healFilters(),
    "examples/envoy-sidecar/files/envoy.yaml": sidecarEnvoy(),
  };
}

/** envoy.yaml as it is in a pod: open to the network, with bearerswap behind a socket. */
function sidecarEnvoy(): string {
  const replaced = [
    [/^# Envoy in front of one OAuth API.*\n.*\n/, "# Written by `npm run generate` from envoy/envoy.yaml.\n"],
    ["{address: 127.0.0.1, port_value: 10000}", "{address: 0.0.0.0, port_value: 10000}"],
    ["socket_address: {address: 127.0.0.1, port_value: 9191}", "pipe: {path: /run/bearerswap/check.sock}"],
  ] as const;
  return replaced.reduce((text, [from, to]) => {
    const changed = text.replace(from, to);
    if (changed === text) throw new Error(`envoy/envoy.yaml has nothing like ${from}`);
    return changed;
  }, example("envoy.yaml").text);
}

/** The filters of envoy-heal.yaml; a gateway has another name for bearerswap's cluster. */
function healFilters(): string {
  const filters = findAll(example("envoy-heal.yaml").documents, "http_filters").at(-1);
  const text = stringify(replaceAll(filters, "grpc_service", () => "GRPC_SERVICE"));
  return `# Written by \`npm run generate\` from envoy/envoy-heal.yaml, which says why each line is there.\n${text}`;
}
