import type { Clock } from "../platform/clock.ts";
import type { FetchFor } from "../platform/fetch-for.ts";
import type { Keep } from "../platform/kept-parts.ts";
import type { CodeFlow } from "../providers/code-flow.ts";
import { createIssuerLogin } from "../providers/issuer-login.ts";
import type { SourceConfig } from "../sessions/source-config.ts";
import type { IssuerLoginConfig } from "./config.ts";

/** A jwt source whose sessions never come to a browser, and our client at its issuer. */
export interface LoginSource {
  readonly issuer: string;
  readonly login: CodeFlow;
  /** What users read of it. */
  readonly title: string;
  /**
   * A session of the source is its subject, so that who logs in as that subject may see its accounts. Where a subject
   * has several sessions, nobody could tell which of them is meant.
   */
  readonly offersPage: boolean;
}

interface LoginClients {
  readonly sources: readonly SourceConfig[];
  /** By the source's name. */
  readonly clients: Readonly<Record<string, IssuerLoginConfig>>;
}

interface LoginSourcesDeps extends LoginClients {
  readonly fetchFor: FetchFor;
  readonly clock: Clock;
  /** Takes over clients that have not changed, with what they know of the issuer. */
  readonly keep: Keep;
}

/** The jwt sources at whose issuer we can ask who follows a link, by the source's name. */
export function createLoginSources({
  fetchFor,
  clock,
  keep,
  ...config
}: LoginSourcesDeps): ReadonlyMap<string, LoginSource> {
  const found = new Map<string, LoginSource>();
  const clients = clientsOf(config);
  for (const { source, client } of clients) {
    const { name, issuer, allowInsecure, ca } = source;
    const login = keep(`login ${name}`, [client, issuer, allowInsecure, ca], () =>
      createIssuerLogin({ ...client, issuer, allowInsecure, fetch: fetchFor(ca), clock }),
    );
    const isLone = clients.every((other) => other.source === source || other.source.issuer !== issuer);
    const title = isLone ? hostOf(issuer) : `${hostOf(issuer)} (${name})`;
    if (login !== undefined) found.set(name, { issuer, login, title, offersPage: offersPage(source) });
  }
  return found;
}

/** The issuers of the sources that people can log in for on our pages, by the source's name. */
export function pageIssuers(config: LoginClients): ReadonlyMap<string, string> {
  const sources = clientsOf(config).map(({ source }) => source);
  return new Map(sources.filter(offersPage).map(({ name, issuer }) => [name, issuer]));
}

function clientsOf({ sources, clients }: LoginClients) {
  return sources.flatMap((source) => {
    const client = source.kind === "jwt" ? clients[source.name] : undefined;
    return source.kind === "jwt" && client !== undefined ? [{ source, client }] : [];
  });
}

function offersPage({ claim, subject }: { readonly claim: string; readonly subject?: string | undefined }): boolean {
  return claim === "sub" && subject === "sub";
}

function hostOf(issuer: string): string {
  return new URL(issuer).host;
}
