import type { Route } from "../check/routes.ts";
import type { SourceConfig } from "../sessions/source-config.ts";
import type { Config } from "./schema.ts";
import type { UpstreamConfig } from "./upstreams-schema.ts";

/** Whether grants are rows of ToolHive's. */
export function isOfToolhive({ store }: Pick<Parsed, "store">): boolean {
  return store?.kind === "redis" && store.toolhive !== undefined;
}

/** The sections that could be parsed. A member that could not be is undefined. */
export type Parsed = Partial<Omit<Config, "sessions" | "routes" | "upstreams">> & {
  readonly sessions?: readonly (SourceConfig | undefined)[] | undefined;
  readonly routes?: readonly (Route | undefined)[] | undefined;
  readonly upstreams?: Readonly<Record<string, UpstreamConfig | undefined>> | undefined;
};
