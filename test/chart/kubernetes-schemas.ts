import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { goModules, moduleDir } from "../support/go-programs.ts";

type Schema = { readonly [keyword: string]: unknown };

interface Kind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

/** Where kubeconform finds what `writeSchemas` has written below `dir`. */
export function schemaLocation(dir: string): string {
  return join(dir, "{{.Group}}", "{{.ResourceKind}}_{{.ResourceAPIVersion}}.json");
}

/** Writes a JSON Schema for each kind of Kubernetes, Gateway API, Envoy Gateway, Istio and the Prometheus operator. */
export async function writeSchemas(dir: string): Promise<void> {
  const open = join(await moduleDir(goModules.kubernetes), "api/openapi-spec/v3");
  for (const name of readdirSync(open))
    if (/^apis?__.*_openapi\.json$/.test(name)) writeNative(dir, readFileSync(join(open, name), "utf8"));
  const crds = [
    [goModules.gatewayApi, "config/crd/standard"],
    [goModules.envoyGateway, "charts/gateway-helm/charts/crds/crds/generated"],
    [goModules.istioApi, "kubernetes"],
    [goModules.prometheusOperator, "example/prometheus-operator-crd"],
  ] as const;
  for (const [module, folder] of crds) {
    const path = join(await moduleDir(module), folder);
    for (const name of readdirSync(path))
      if (/\.ya?ml$/.test(name)) writeCustom(dir, readFileSync(join(path, name), "utf8"));
  }
}

/** Of one of Kubernetes' own API groups, as OpenAPI 3. */
function writeNative(dir: string, text: string): void {
  const { schemas = {} } =
    (JSON.parse(text) as { components?: { schemas?: Readonly<Record<string, Schema>> } }).components ?? {};
  const components = { schemas: Object.fromEntries(Object.entries(schemas).map(([name, it]) => [name, strict(it)])) };
  for (const [name, schema] of Object.entries(schemas))
    for (const kind of (schema["x-kubernetes-group-version-kind"] as Kind[] | undefined) ?? [])
      write(dir, kind, { allOf: [{ $ref: `#/components/schemas/${name}` }], components });
}

function writeCustom(dir: string, text: string): void {
  for (const document of parseAllDocuments(text)) {
    const { kind, spec } = (document.toJS() ?? {}) as { kind?: string; spec: CustomSpec };
    if (kind !== "CustomResourceDefinition") continue;
    for (const { name, schema } of spec.versions) {
      const { properties, ...rest } = schema.openAPIV3Schema;
      const ofAll = { apiVersion: {}, kind: {}, metadata: {} };
      const known = strict({ ...rest, properties: { ...ofAll, ...(properties as Schema | undefined) } });
      write(dir, { group: spec.group, version: name, kind: spec.names.kind }, known);
    }
  }
}

interface CustomSpec {
  readonly group: string;
  readonly names: { readonly kind: string };
  readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: Schema } }[];
}

function write(dir: string, { group, version, kind }: Kind, schema: Schema): void {
  // kubeconform's Group is the version, where there is no group.
  const folder = join(dir, group === "" ? version : group);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${kind.toLowerCase()}_${version}.json`), JSON.stringify(schema));
}

/** Closes every object whose properties are known: a misspelt field is an error, which Kubernetes would drop. */
function strict(schema: Schema): Schema {
  const { properties, items, additionalProperties } = schema;
  const inner = properties as Readonly<Record<string, Schema>> | undefined;
  const isOpen = schema["x-kubernetes-preserve-unknown-fields"] === true || additionalProperties !== undefined;
  return {
    ...schema,
    ...(inner && { properties: Object.fromEntries(Object.entries(inner).map(([name, it]) => [name, strict(it)])) }),
    ...(inner && !isOpen && { additionalProperties: false }),
    ...(typeof items === "object" && { items: strict(items as Schema) }),
    ...(typeof additionalProperties === "object" && { additionalProperties: strict(additionalProperties as Schema) }),
  };
}
