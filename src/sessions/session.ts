import type { Owner } from "../tokens/owner.ts";
import type { CheckInput } from "./check-input.ts";
import { type IdSource, idProblem, nameText, sessionOf } from "./session-id.ts";

/**
 * Whose request it is. Holds the hash of the session's id, and the id itself only if ToolHive issues it; never the
 * credential.
 */
export interface Session extends Owner {
  /** The source's name. */
  readonly source: string;
}

export interface Identified {
  readonly kind: "identified";
  readonly session: Session;
}

/** What a source says about a request. */
export type Identification =
  | Identified
  /** The request holds nothing for this source. */
  | { readonly kind: "missing" }
  | { readonly kind: "invalid"; readonly why: string }
  /** It cannot be told now, for example because the keys to verify it cannot be had. */
  | { readonly kind: "unavailable"; readonly why: string; readonly retryAfterMs?: number | undefined };

/** One way to tell sessions. It answers at once if nothing has to be fetched or verified, as for most requests. */
export interface SessionSource {
  identify(input: CheckInput): Identification | Promise<Identification>;
}

/** A session of a source, or what is wrong with its id. `owner` is left out if the source states none. */
export function identified(
  source: IdSource & { readonly name: string },
  claim: unknown,
  owner?: { readonly subject: unknown },
): Identification {
  const id = nameText(claim);
  if (id === undefined) return { kind: "invalid", why: "the session id is no text and no whole number, or empty" };
  const why = idProblem(source, id);
  if (why !== undefined) return { kind: "invalid", why };
  const session = { source: source.name, session: sessionOf(source, id) };
  if (owner === undefined) return { kind: "identified", session };
  return { kind: "identified", session: { ...session, owner: { subject: nameText(owner.subject) } } };
}

/** Tries the sources in order: the first that finds anything decides. */
export function createSessions(sources: readonly SessionSource[]): SessionSource {
  return { identify: (input) => identifyFrom(sources, 0, input) };
}

function identifyFrom(
  sources: readonly SessionSource[],
  at: number,
  input: CheckInput,
): Identification | Promise<Identification> {
  for (let next = at; next < sources.length; next += 1) {
    const found = sources[next]?.identify(input);
    if (found instanceof Promise)
      return found.then((later) => (later.kind === "missing" ? identifyFrom(sources, next + 1, input) : later));
    if (found !== undefined && found.kind !== "missing") return found;
  }
  return { kind: "missing" };
}
