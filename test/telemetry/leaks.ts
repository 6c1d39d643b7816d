import { expect } from "vitest";

/** Collects what must not be printed and what was printed, and compares. */
export interface LeakSearch {
  /** A value that must not occur in anything printed: as it is, percent-encoded, as base64 or as JSON writes it. */
  secret(name: string, value: string): string;
  printed(where: string, text: string): void;
  /** Fails the test, naming secret and place but showing neither. */
  expectNone(): void;
}

export function createLeakSearch(): LeakSearch {
  const secrets = new Map<string, string>();
  const outputs: { readonly where: string; readonly text: string }[] = [];
  return {
    secret(name, value) {
      for (const form of formsOf(value)) secrets.set(form, name);
      return value;
    },
    printed: (where, text) => void outputs.push({ where, text }),
    expectNone() {
      expect(outputs.map(({ text }) => text).join("").length).toBeGreaterThan(0);
      const leaks = outputs.flatMap(({ where, text }) =>
        [...secrets].filter(([form]) => text.includes(form)).map(([, name]) => `${name} in ${where}`),
      );
      expect([...new Set(leaks)]).toEqual([]);
    },
  };
}

function formsOf(value: string): string[] {
  const base64 = Buffer.from(value).toString("base64").replace(/=+$/, "");
  const inner = JSON.stringify(value).slice(1, -1);
  // The end is enough to be a leak too: errors cut from the front.
  return [
    value,
    encodeURIComponent(value),
    base64,
    Buffer.from(value).toString("base64url"),
    inner,
    ...(value.length > 16 ? [value.slice(-16), value.slice(0, 16)] : []),
  ];
}
