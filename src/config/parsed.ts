import type { Route } from "../check/routes.ts";
import type { SourceConfig } from "../sessions/source-config.ts";
import type { Config } from "./schema.ts";
import type { UpstreamConfig } from "./upstreams-schema.ts";

/** The sections that could be parsed. A member that could not be is undefined. */
export type Parsed = Partial<Omit<Config, "sessions" | "routes" | "upstreams">> & {
  readonly sessions?: readonly (SourceConfig | undefined)[] | undefined;
  readonly routes?: readonly (Route | undefined)[] | undefined;
  readonly upstreams?: Readonly<Record<string, UpstreamConfig | undefined>> | undefined;
};
