/** What happened, in order. */
export interface History {
  /** `who` did or met `what`. The details are put in words only when somebody reads them. */
  note(who: string, what: string, ...details: unknown[]): void;
  lines(): readonly string[];
}

export function createHistory(now: () => number): History {
  const entries: {
    readonly at: number;
    readonly who: string;
    readonly what: string;
    readonly details: readonly unknown[];
  }[] = [];
  return {
    note: (who, what, ...details) => void entries.push({ at: now(), who, what, details }),
    lines: () =>
      entries.map(({ at, who, what, details }) => [timeOf(at), who.padEnd(8), what, ...details.map(inWords)].join(" ")),
  };
}

/** Seconds with three places, right-aligned. */
export function timeOf(ms: number): string {
  return (ms / 1_000).toFixed(3).padStart(9);
}

function inWords(detail: unknown): string {
  if (typeof detail === "number") return Number.isInteger(detail) ? String(detail) : detail.toFixed(1);
  return typeof detail === "string" ? detail : JSON.stringify(detail);
}
