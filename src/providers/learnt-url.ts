import { isLoopback, mayBeAsked } from "../platform/loopback.ts";

/** What decides about URLs that an MCP server and its authorization server name. */
export interface LearntFrom {
  /** The URL of the MCP server, from the configuration. */
  readonly configured: string;
  /** The operator allows plain http also off this machine. */
  readonly allowInsecure: boolean;
}

/**
 * Whether a URL that was learnt may be used: it is https. Plain http takes the operator's word, or stays on this
 * machine as the configured URL does.
 */
export function isUsable(url: string, { configured, allowInsecure }: LearntFrom): boolean {
  const parsed = URL.parse(url);
  if (parsed === null || parsed.username !== "" || parsed.password !== "" || parsed.hash !== "") return false;
  if (parsed.protocol === "https:") return true;
  return mayBeAsked(url, allowInsecure) && (allowInsecure || isLoopback(new URL(configured).hostname));
}
