import { configJsonSchema } from "../../src/config/schema.ts";

type Schema = { readonly [keyword: string]: unknown };

const text = { type: "string" };
const flag = { type: "boolean" };
const port = { type: "integer", minimum: 1, maximum: 65_535 };
const seconds = { type: "integer", minimum: 1 };
const count = { type: "integer", minimum: 1 };
const duration = { type: "string", pattern: "^[0-9]+(ms|s|m|h)$" };
const name = { type: "string", pattern: "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$" };
/** Empty: not given. */
const nameOrNone = { type: "string", pattern: "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$" };
const texts = { type: "object", additionalProperties: text };
/** What Kubernetes itself says the form of, and kubeconform checks. */
const mapping = { type: "object" };
const mappings = { type: "array", items: mapping };

function closed(properties: Readonly<Record<string, Schema>>, required: readonly string[] = []): Schema {
  return { type: "object", properties, required, additionalProperties: false };
}

function list(items: Schema): Schema {
  return { type: "array", items };
}

const envoyGateway = closed({
  enabled: flag,
  namespace: name,
  gateway: name,
  envoyNamespace: name,
  timeout: duration,
  headers: { ...list(text), minItems: 1 },
  routes: list(closed({ name, upstream: { ...text, minLength: 1 }, mcp: flag, cors: mapping }, ["name", "upstream"])),
  maxRequestBytes: count,
  connect: closed({ enabled: flag, hostname: nameOrNone }),
  heal: closed({
    enabled: flag,
    listener: name,
    routes: list(closed({ name, rule: { type: "integer", minimum: 0 } }, ["name"])),
  }),
});

const istio = closed({
  enabled: flag,
  namespace: name,
  gatewayNamespace: name,
  gatewayLabels: { ...texts, minProperties: 1 },
  gateway: text,
  principal: text,
  provider: name,
  timeout: duration,
  connect: closed({ enabled: flag, hostname: nameOrNone, routes: mappings }),
  heal: closed({ enabled: flag, services: list(closed({ service: name, port }, ["service", "port"])) }),
});

/**
 * The schema of charts/bearerswap/values.yaml, with the configuration's own in it, so that Helm refuses a misspelt key
 * of either before anything is changed in the cluster.
 */
export function valuesSchema(): Schema {
  const values = {
    mode: { enum: ["deployment", "sidecar"] },
    nameOverride: nameOrNone,
    fullnameOverride: nameOrNone,
    image: closed({
      repository: text,
      tag: text,
      digest: { type: "string", pattern: "^(sha256:[0-9a-f]{64})?$" },
      pullPolicy: { enum: ["Always", "IfNotPresent", "Never"] },
    }),
    imagePullSecrets: mappings,
    config: configOfValues(),
    existingConfigMap: nameOrNone,
    existingConfigSecret: nameOrNone,
    secretName: nameOrNone,
    env: list({ type: "object", required: ["name"], properties: { name: text, value: text } }),
    envFrom: mappings,
    extraVolumes: mappings,
    extraVolumeMounts: mappings,
    ports: closed({ grpc: port, http: port }),
    replicas: { type: "integer", minimum: 0 },
    autoscaling: closed({
      enabled: flag,
      minReplicas: count,
      maxReplicas: count,
      targetCPUUtilizationPercentage: { type: "integer", minimum: 1, maximum: 100 },
      behavior: mapping,
    }),
    shutdown: closed({ preStopSeconds: seconds, timeoutSeconds: seconds }),
    resources: mapping,
    podDisruptionBudget: closed({ enabled: flag, maxUnavailable: { type: ["integer", "string"] } }),
    topologySpreadConstraints: mappings,
    nodeSelector: texts,
    tolerations: mappings,
    affinity: mapping,
    priorityClassName: nameOrNone,
    podAnnotations: texts,
    podLabels: texts,
    restartOnConfigChange: flag,
    serviceAccount: closed({ create: flag, name: nameOrNone, annotations: texts }),
    service: closed({ headless: flag, appProtocol: text, annotations: texts }),
    networkPolicy: closed({ enabled: flag, from: mappings, httpFrom: mappings, egress: mappings }),
    serviceMonitor: closed({ enabled: flag, interval: duration, labels: texts }),
    prometheusRule: closed({ enabled: flag, labels: texts }),
    dashboards: closed({ enabled: flag, labels: texts, annotations: texts }),
    sidecar: closed({ podLabels: texts }),
    valkey: closed({
      enabled: flag,
      image: text,
      existingSecret: nameOrNone,
      passwordKey: text,
      storage: text,
      storageClassName: nameOrNone,
      resources: mapping,
    }),
    envoyGateway,
    istio,
    // Where the chart is another's dependency, Helm gives it these too.
    global: mapping,
  };
  return { $schema: "https://json-schema.org/draft/2020-12/schema", title: "Values of bearerswap", ...closed(values) };
}

/** The configuration but for what the chart says itself. Nothing is needed here: the file may be another's. */
function configOfValues(): Schema {
  const { properties, additionalProperties, type } = configJsonSchema() as Schema;
  const { listen = {}, shutdown: _shutdown, ...sections } = properties as Readonly<Record<string, Schema>>;
  const { grpc: _grpc, grpcMode: _mode, http: _http, admin: _admin, ...rest } = listen.properties as Schema;
  const ours = "grpc, grpcMode, http and admin are said by the chart.";
  const listenOfValues = { description: ours, type: "object", properties: rest, additionalProperties: false };
  return { type, properties: { listen: listenOfValues, ...sections }, additionalProperties };
}
