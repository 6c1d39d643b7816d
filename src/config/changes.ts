import { sameConfig } from "../platform/same-config.ts";
import type { Config, SectionName } from "./schema.ts";

/** What differs between two configurations, by name; also what only one of them has. */
export interface ConfigChanges {
  readonly upstreams: readonly string[];
  readonly sources: readonly string[];
  /** Of the other sections. */
  readonly sections: readonly string[];
}

export function changesBetween(before: Config, next: Config): ConfigChanges {
  const sources = ({ sessions }: Config) => Object.fromEntries(sessions.map((source) => [source.name, source]));
  const names = new Set([...Object.keys(before), ...Object.keys(next)] as SectionName[]);
  const others = [...names].filter((name) => name !== "upstreams" && name !== "sessions");
  return {
    upstreams: differing(before.upstreams, next.upstreams),
    sources: differing(sources(before), sources(next)),
    sections: others.filter((name) => !sameConfig(before[name], next[name])),
  };
}

function differing(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((name) => !sameConfig(a[name], b[name]));
}
