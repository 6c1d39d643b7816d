import { connectRows } from "./connect-rows.ts";
import { overviewRows } from "./overview-rows.ts";
import { layOut, type Row } from "./panels.ts";
import { createQueries, type Queries } from "./queries.ts";
import { refreshRows } from "./refresh-rows.ts";
import { type MetricShape, readShapes } from "./shapes.ts";

/** A dashboard as Grafana imports it. */
export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly object[];
  readonly [field: string]: unknown;
}

/** The last version of the form that Grafana takes without its own API's envelope (since 12.2). */
const schemaVersion = 42;

/** Metrics that no panel shows, and why. */
export const leftOut: Readonly<Record<string, string>> = {
  bearerswap_grpc_hook_active:
    "It changes only with an upgrade of the program, whose tests look at it; the log says it at the start.",
  bearerswap_trace_spans_total:
    "It is about the export of traces, which few configure and which requests never wait for; the log says when it fails.",
};

/** Files of envoy/grafana/ by their names. Throws where a panel names something that src/telemetry does not define. */
export async function dashboardFiles(): Promise<Readonly<Record<string, string>>> {
  const { dashboards } = createDashboards(await readShapes());
  return Object.fromEntries(
    dashboards.map((dashboard) => [`${dashboard.uid}.json`, `${JSON.stringify(dashboard, undefined, 2)}\n`]),
  );
}

export function createDashboards(shapes: ReadonlyMap<string, MetricShape>) {
  const queries = createQueries(shapes);
  const dashboards = [
    dashboard("bearerswap-overview", "bearerswap / Overview", overviewRows(queries), queries),
    dashboard("bearerswap-refreshes", "bearerswap / Refreshes and providers", refreshRows(queries), queries),
    dashboard("bearerswap-connect", "bearerswap / Connect", connectRows(queries), queries),
  ];
  return { dashboards, used: queries.used };
}

function dashboard(uid: string, title: string, rows: readonly Row[], queries: Queries): Dashboard {
  return {
    uid,
    title,
    description:
      "Written by `npm run generate` in bearerswap's repository. Paths in the descriptions of panels are pages there.",
    tags: ["bearerswap"],
    schemaVersion,
    editable: true,
    graphTooltip: 1,
    refresh: "30s",
    time: { from: "now-3h", to: "now" },
    timezone: "browser",
    annotations: { list: [] },
    links: [
      {
        type: "dashboards",
        title: "bearerswap",
        tags: ["bearerswap"],
        asDropdown: false,
        includeVars: true,
        keepTime: true,
        targetBlank: false,
        icon: "external link",
        tooltip: "",
        url: "",
      },
    ],
    templating: { list: variables(queries) },
    panels: layOut(rows),
  };
}

/** All upstreams include the empty name: of requests for which none was found. */
function variables(queries: Queries): readonly object[] {
  const [info, flights] = ["bearerswap_build_info", "bearerswap_flights"];
  // Both have to be metrics that exist.
  queries.gauge("count", info);
  queries.gauge("sum", flights, { by: ["upstream"] });
  return [
    {
      name: "datasource",
      label: "Data source",
      type: "datasource",
      query: "prometheus",
      hide: 0,
      includeAll: false,
      multi: false,
      options: [],
      refresh: 1,
      regex: "",
      skipUrlSync: false,
    },
    choice("job", "Job", `label_values(${info}, job)`),
    choice("instance", "Instance", `label_values(${info}{job=~"$job"}, instance)`),
    choice("upstream", "Upstream", `label_values(${flights}{job=~"$job", instance=~"$instance"}, upstream)`),
  ];
}

function choice(name: string, label: string, query: string): object {
  return {
    name,
    label,
    type: "query",
    datasource: { type: "prometheus", uid: "${datasource}" },
    definition: query,
    query: { query, refId: `Variable-${name}`, qryType: 5 },
    current: { text: ["All"], value: ["$__all"] },
    allValue: ".*",
    includeAll: true,
    multi: true,
    hide: 0,
    options: [],
    refresh: 2,
    regex: "",
    skipUrlSync: false,
    sort: 1,
  };
}
