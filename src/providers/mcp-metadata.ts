import { LRUCache } from "lru-cache";
import type { Clock } from "../platform/clock.ts";
import { upTo } from "../platform/lru-options.ts";
import type { McpServer } from "./mcp-discovery.ts";
import { isSameIssuer } from "./mcp-issuer.ts";

/** What is known of an MCP server, asked for when it is first needed. */
export interface McpMetadata {
  /** The server as it is for new logins. @throws BearerswapError `discovery` */
  current(): Promise<McpServer>;
  /**
   * The server with this one of its authorization servers; undefined if it names that one no more, in a look from just
   * now.
   * @throws BearerswapError `discovery`
   */
  at(issuer: string): Promise<McpServer | undefined>;
  /**
   * Whether the server has named others in place of that issuer for an hour, in each look at it. Since that ends logins,
   * one look is not enough: a server may be taken over, or have a bad moment.
   */
  isGone(issuer: string): boolean;
  /** Like `at`, and asks anew: something that was found has stopped working. */
  again(issuer: string): Promise<McpServer | undefined>;
}

interface McpMetadataDeps {
  /** @param issuer the authorization server to take if the MCP server still names it */
  readonly discover: (issuer: string | undefined) => Promise<McpServer>;
  readonly clock: Pick<Clock, "monotonicMs">;
}

/** What was found is looked for again after this, ms, while it is used: a server may name another issuer by then. */
const maxAgeMs = 60 * 60 * 1_000;
/** A look that is not older, ms, is from just now. */
const freshMs = 30_000;
/** An issuer that is named no more counts as gone after this, ms. */
const goneAfterMs = 60 * 60 * 1_000;
/** After a failure the server is left alone for this, ms: anybody may begin logins. */
const failurePauseMs = 3_000;
/** Issuers come from grants in the store. More than these at one upstream, and the one found longest ago is forgotten. */
const maxIssuers = 16;

interface Entry {
  readonly server: McpServer;
  readonly foundAt: number;
}

export function createMcpMetadata({ discover, clock }: McpMetadataDeps): McpMetadata {
  /** By the issuer that was asked for; empty: whichever the server names first. */
  const entries = new Map<string, Entry>();
  /** Looks under way: all who need one share it. */
  const looking = new Map<string, Promise<Entry>>();
  const failures = new Map<string, { readonly until: number; readonly error: unknown }>();
  /** Since when a server has named others in place of an issuer. */
  const missing = new LRUCache<string, number>(upTo(maxIssuers));

  return {
    current: async () => (await find("")).server,

    async at(issuer) {
      const first = entries.get("");
      const known = isOf(issuer, first?.server) ? await find("") : await find(issuer);
      if (isOf(issuer, known.server)) return known.server;
      const isFresh = clock.monotonicMs() - known.foundAt < freshMs;
      const { server } = isFresh ? known : await look(issuer);
      return isOf(issuer, server) ? server : undefined;
    },

    isGone: (issuer) => clock.monotonicMs() - (missing.get(issuer) ?? Number.POSITIVE_INFINITY) >= goneAfterMs,

    async again(issuer) {
      const { server } = await look(issuer);
      if (!isOf(issuer, server)) return undefined;
      if (isOf(issuer, entries.get("")?.server)) entries.set("", { server, foundAt: clock.monotonicMs() });
      return server;
    },
  };

  /** What is known; one that has grown old is used while it is looked for again. */
  async function find(issuer: string): Promise<Entry> {
    const known = entries.get(issuer);
    if (known === undefined) return look(issuer);
    if (clock.monotonicMs() - known.foundAt >= maxAgeMs) void look(issuer).catch(() => {});
    return known;
  }

  function look(issuer: string): Promise<Entry> {
    const failure = failures.get(issuer);
    if (failure !== undefined && clock.monotonicMs() < failure.until) return Promise.reject(failure.error);
    const underWay = looking.get(issuer) ?? lookNow(issuer).finally(() => looking.delete(issuer));
    looking.set(issuer, underWay);
    return underWay;
  }

  async function lookNow(issuer: string): Promise<Entry> {
    try {
      const found = await discover(issuer === "" ? undefined : issuer);
      failures.delete(issuer);
      const last = entries.get(issuer)?.server;
      // The same object as long as nothing changes, since what is made of it is kept with it.
      const server = last !== undefined && isAlike(last, found) ? last : found;
      const entry = { server, foundAt: clock.monotonicMs() };
      if (isOf(issuer, server)) missing.delete(issuer);
      else if (!missing.has(issuer)) missing.set(issuer, entry.foundAt);
      entries.delete(issuer);
      entries.set(issuer, entry);
      const [oldest] = [...entries.keys()].filter((name) => name !== "");
      if (entries.size > maxIssuers && oldest !== undefined) entries.delete(oldest);
      return entry;
    } catch (error) {
      failures.set(issuer, { until: clock.monotonicMs() + failurePauseMs, error });
      if (failures.size > maxIssuers) failures.delete([...failures.keys()][0] ?? "");
      throw error;
    }
  }
}

function isOf(issuer: string, server: McpServer | undefined): boolean {
  return server !== undefined && isSameIssuer(server.metadata.issuer, issuer);
}

function isAlike(one: McpServer, other: McpServer): boolean {
  const text = ({ misses: _, ...server }: McpServer) => JSON.stringify(server);
  return text(one) === text(other);
}
