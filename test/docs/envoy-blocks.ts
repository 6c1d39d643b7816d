import { isMapping } from "./configurations.ts";
import { type Block, documentsIn } from "./pages.ts";

/** Where in Envoy's configuration a block belongs. */
export type EnvoyPlace = "filter" | "route" | "checkSettings" | "cluster" | "manager";

/** @returns undefined where the block is not of Envoy's own configuration */
export function envoyPlaceOf(block: Block): EnvoyPlace | undefined {
  const [content] = documentsIn(block);
  const [first] = Array.isArray(content) ? content : [];
  if (isMapping(first) && /^envoy\.filters\.http\./.test(String(first.name))) return "filter";
  if (!isMapping(content)) return undefined;
  if (Object.hasOwn(content, "load_assignment")) return "cluster";
  if (Object.hasOwn(content, "tracing")) return "manager";
  if (Object.hasOwn(content, "typed_per_filter_config")) return "route";
  return Object.hasOwn(content, "check_settings") ? "checkSettings" : undefined;
}

export function isEnvoyBlock(block: Block): boolean {
  return envoyPlaceOf(block) !== undefined;
}
