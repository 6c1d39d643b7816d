import type { CheckInput } from "../sessions/check-input.ts";
import { cookieCredential } from "../sessions/cookies.ts";
import { headerCredential, type Place, placeName } from "../sessions/credential.ts";
import type { Identification } from "../sessions/session.ts";
import type { SourceConfig } from "../sessions/source-config.ts";
import { shortHash } from "../stores/grant.ts";
import type { SessionView, SourceView } from "./explanation.ts";

/** What was found of a request's session. */
export interface SessionFindings {
  /** What each source that was asked has said, by name. */
  readonly found: ReadonlyMap<string, Identification>;
  /** When the session's own token ends, epoch ms. */
  readonly endsAt: number | undefined;
}

export function sessionView(
  sources: readonly SourceConfig[],
  input: CheckInput,
  { found, endsAt }: SessionFindings,
  now: number,
): SessionView {
  const views = sources.map((source) => sourceView(source, input, found.get(source.name)));
  const decisive = [...found.values()].find(({ kind }) => kind !== "missing");
  if (decisive?.kind !== "identified") return { kind: decisive?.kind ?? "missing", sources: views };
  const { session } = decisive;
  const source = sources.find(({ name }) => name === session.source);
  return {
    kind: "identified",
    source: session.source,
    session: shortHash(session.session),
    subject: session.owner?.subject,
    issuer: source?.kind === "jwt" ? source.issuer : undefined,
    expiresInMs: endsAt === undefined ? undefined : Math.round(endsAt - now),
    sources: views,
  };
}

function sourceView(source: SourceConfig, input: CheckInput, found: Identification | undefined): SourceView {
  const { name, kind } = source;
  const about = { name, kind, reads: placeOf(source) };
  if (found === undefined) return { ...about, result: "not_asked", why: "an earlier source has decided" };
  if (found.kind === "identified")
    return found.session.source === name
      ? { ...about, result: "identified" }
      : { ...about, result: "missing", why: "the token is of another issuer" };
  if (found.kind === "missing") return { ...about, result: "missing", why: whyMissing(source, input) };
  return { ...about, result: found.kind, why: found.why };
}

function placeOf(source: SourceConfig): string {
  if ("from" in source) return placeName(source.from);
  return source.kind === "metadata" ? `metadata ${source.namespace}` : "the peer's certificate";
}

function whyMissing(source: SourceConfig, input: CheckInput): string {
  if (!("from" in source)) return "the request carries none";
  const { from } = source;
  if (isPresent(from, input)) return "it is there, and names no session that lives: it has ended, or never began";
  const isOtherScheme = "header" in from && (input.header(from.header) ?? "") !== "";
  return isOtherScheme ? "the header is there, and holds no bearer token" : "the request carries none";
}

function isPresent(from: Place, input: CheckInput): boolean {
  const { kind } =
    "cookie" in from
      ? cookieCredential(from.cookie, input.cookies)
      : headerCredential(from.header, input.header(from.header));
  return kind === "present";
}
