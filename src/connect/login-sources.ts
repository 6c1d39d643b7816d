import type { Clock } from "../platform/clock.ts";
import type { FetchFor } from "../platform/fetch-for.ts";
import type { CodeFlow } from "../providers/code-flow.ts";
import { createIssuerLogin } from "../providers/issuer-login.ts";
import type { SourceConfig } from "../sessions/source-config.ts";
import type { IssuerLoginConfig } from "./config.ts";

/** A jwt source whose sessions never come to a browser, and our client at its issuer. */
export interface LoginSource {
  readonly issuer: string;
  readonly login: CodeFlow;
}

interface LoginSourcesDeps {
  readonly sources: readonly SourceConfig[];
  /** By the source's name. */
  readonly clients: Readonly<Record<string, IssuerLoginConfig>>;
  readonly fetchFor: FetchFor;
  readonly clock: Clock;
}

/** The jwt sources at whose issuer we can ask who follows a link, by the source's name. */
export function createLoginSources({
  sources,
  clients,
  fetchFor,
  clock,
}: LoginSourcesDeps): ReadonlyMap<string, LoginSource> {
  const found = new Map<string, LoginSource>();
  for (const source of sources) {
    const client = source.kind === "jwt" ? clients[source.name] : undefined;
    if (source.kind !== "jwt" || client === undefined) continue;
    const { issuer, allowInsecure } = source;
    const login = createIssuerLogin({ ...client, issuer, allowInsecure, fetch: fetchFor(source.ca), clock });
    if (login !== undefined) found.set(source.name, { issuer, login });
  }
  return found;
}
