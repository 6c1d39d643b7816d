import { LRUCache } from "lru-cache";
import type { Clock } from "../platform/clock.ts";
import { plainGet, upTo } from "../platform/lru-options.ts";
import type { Refusal, Subject } from "./kind.ts";

/** Whom one upstream's provider has refused lately. */
export interface Refusals {
  /** The provider refused the subject: `all` where it has refused many, and given nobody a token meanwhile. */
  refused(subject: Subject, refusal: Refusal): "one" | "all";
  /** The provider gave somebody a token. */
  accepted(): void;
  /** What came of it lately, where the subject should not be shown to the provider again yet. */
  held(subject: Subject): (Refusal & { readonly of: "one" | "all" }) | undefined;
}

/** This many sessions in a row are too many for it to be about each of them. */
const manySessions = 5;
/** What is longer ago than this, ms, does not count for that. */
const countedMs = 15 * 60_000;
/** A subject that was refused is not shown to the provider again for this long, ms. */
const heldMs = 10_000;
const remembered = 10_000;

export function createRefusals(clock: Pick<Clock, "monotonicMs">): Refusals {
  const held = new LRUCache<string, Refusal & { readonly until: number }>(upTo(remembered));
  /** When each session was refused last, since somebody got a token. */
  const inRow = new LRUCache<string, number>(upTo(manySessions));

  return {
    refused({ id, session = id }, { why, help }) {
      held.set(id, { why, help, until: clock.monotonicMs() + heldMs });
      inRow.set(session, clock.monotonicMs());
      return extent();
    },
    accepted: () => inRow.clear(),
    held({ id }) {
      const found = held.get(id, plainGet);
      if (found === undefined || clock.monotonicMs() >= found.until) return undefined;
      return { why: found.why, help: found.help, of: extent() };
    },
  };

  function extent(): "one" | "all" {
    const now = clock.monotonicMs();
    return [...inRow.values()].filter((at) => now - at < countedMs).length < manySessions ? "one" : "all";
  }
}
