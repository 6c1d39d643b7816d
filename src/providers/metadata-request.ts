import { fetchProblem } from "../platform/discovery.ts";
import type { HttpFetch } from "../platform/fetch-for.ts";
import { type JsonObject, parseObject } from "../platform/json-object.ts";

/**
 * What was found at the address of a document. `absent`: somebody answered, and there is none. `broken`: whether there
 * is one cannot be told now.
 */
export type MetadataAnswer =
  | { readonly kind: "found"; readonly document: JsonObject }
  | { readonly kind: "absent"; readonly why: string }
  | { readonly kind: "broken"; readonly why: string };

export interface MetadataRequestDeps {
  readonly fetch: HttpFetch;
  /** Of one request. */
  readonly timeoutMs: number;
  /** Ends all requests of one discovery. */
  readonly signal: AbortSignal;
}

/** The longest document that is read, in characters. */
const longestDocument = 65_536;

/** Asks for a JSON document. Never throws. */
export async function requestMetadata(url: string, deps: MetadataRequestDeps): Promise<MetadataAnswer> {
  const { fetch, timeoutMs, signal } = deps;
  try {
    const headers = { accept: "application/json" };
    const answer = await fetch(url, { headers, signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) });
    if (isPassing(answer.status)) return { kind: "broken", why: `${url} answered HTTP ${answer.status}` };
    if (answer.status !== 200) return { kind: "absent", why: `${url} answered HTTP ${answer.status}` };
    const text = await answer.text();
    if (text.length > longestDocument)
      return { kind: "absent", why: `${url} answered with more than ${longestDocument} characters` };
    const document = parseObject(text);
    if (document === undefined) return { kind: "absent", why: `${url} answered with something that is no JSON object` };
    return { kind: "found", document };
  } catch (error) {
    return { kind: "broken", why: `${url} cannot be asked: ${fetchProblem(error)}` };
  }
}

/** Whether a status may be another one soon, so that it does not tell what is there. */
export function isPassing(status: number): boolean {
  return status >= 500 || status === 408 || status === 429;
}
