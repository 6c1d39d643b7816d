import { LRUCache } from "lru-cache";
import { headerTwin } from "../platform/header-twins.ts";
import { plainGet, upTo } from "../platform/lru-options.ts";
import type { CheckUpstream } from "./upstream.ts";

/**
 * What becomes of a request whose user has no account at one of its upstreams: it is denied, or goes on without that
 * token.
 */
export type Missing = "deny" | "omit";

/** The upstreams whose tokens one request gets, each in a header of its own. */
export interface FanOut {
  readonly upstreams: readonly CheckUpstream[];
  readonly missing: Missing;
}

/** A fan-out, or why these upstreams cannot be one. */
type FanOutResult =
  | { readonly kind: "fan_out"; readonly fanOut: FanOut }
  | { readonly kind: "none"; readonly why: string };

interface FanOuts {
  of(names: readonly string[], missing: Missing): FanOutResult;
  /** Of what Envoy's `context_extensions` say under `upstream` and `missing`. */
  named(names: string, missing: string | undefined): FanOutResult;
}

/** What Envoy's routes say is of its configuration, and a few texts. */
const maxNamed = 256;

export function createFanOuts(upstreams: ReadonlyMap<string, CheckUpstream>): FanOuts {
  const kept = new LRUCache<string, FanOutResult>(upTo(maxNamed));

  return {
    of,
    named(names, missing) {
      const key = `${names};${missing}`;
      const known = kept.get(key, plainGet);
      if (known !== undefined) return known;
      const result = read(names, missing);
      if (result.kind === "fan_out") kept.set(key, result);
      return result;
    },
  };

  function read(text: string, missing: string | undefined): FanOutResult {
    if (missing !== undefined && missing !== "deny" && missing !== "omit")
      return none("say another `missing` than deny or omit");
    return of(
      text.split(",").map((name) => name.trim()),
      missing ?? "deny",
    );
  }

  function of(names: readonly string[], missing: Missing): FanOutResult {
    const found: CheckUpstream[] = [];
    for (const name of names) {
      const upstream = upstreams.get(name);
      if (upstream === undefined) return none(name === "" ? "name an empty upstream" : unknownUpstream);
      if (found.includes(upstream)) return none(`name ${name} twice`);
      const { header } = upstream.inject;
      const twin = found.find(({ inject }) => headerTwin(inject.header) === headerTwin(header));
      if (twin !== undefined)
        return none(`name ${twin.name} and ${name}, whose tokens go into one header (${header}): see inject.header`);
      found.push(upstream);
    }
    return { kind: "fan_out", fanOut: { upstreams: found, missing } };
  }
}

const unknownUpstream = "name an upstream that is not configured";

function none(why: string): FanOutResult {
  return { kind: "none", why: `Envoy's context_extensions ${why}` };
}

export function namesOf(upstreams: readonly CheckUpstream[]): string[] {
  return upstreams.map(({ name }) => name);
}
