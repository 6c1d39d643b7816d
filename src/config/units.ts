import { z } from "zod";
import { Secret } from "../platform/secret.ts";
import { isStandIn } from "./stand-in.ts";

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const durationSyntax = /^(\d+)(ms|s|m|h|d)$/;
/** Longer than any lifetime in use, and still exact in a double. */
const longestMs = 10 * 365 * unitMs.d;

/** A duration such as `500ms`, `10s`, `5m`, `2h` or `30d`; in ms in the Config. */
export function duration(): z.ZodType<number, string> {
  return z
    .string({ error: ({ input }) => (typeof input === "number" ? withUnit(String(input)) : undefined) })
    .regex(durationSyntax, {
      error: ({ input }) =>
        /^\d+$/.test(String(input)) ? withUnit(String(input)) : "must be a duration such as 500ms, 10s, 5m, 2h or 30d",
    })
    .meta({ title: "duration" })
    .transform(parseDuration)
    .refine((ms) => ms <= longestMs, "must be at most 3650d");
}

/** A duration that would switch off what it measures at zero. */
export function positiveDuration(): z.ZodType<number, string> {
  return duration().refine((ms) => ms > 0, "must be longer than zero");
}

function withUnit(amount: string): string {
  return /^\d+$/.test(amount)
    ? `needs a unit: write ${amount}s for seconds, or ${amount}ms for milliseconds`
    : "must be a duration such as 500ms, 10s, 5m, 2h or 30d";
}

function parseDuration(text: string): number {
  const [, amount, unit] = durationSyntax.exec(text) ?? [];
  return Number(amount) * unitMs[unit as keyof typeof unitMs];
}

/** A value that is never printed. */
export function secret(): z.ZodType<Secret, string> {
  return z
    .string()
    .min(1, "must not be empty")
    .meta({ title: "secret" })
    .transform((value) => new Secret(value));
}

/** A text that users read on pages. */
export function shownText(): z.ZodString {
  return z
    .string()
    .max(60, "must be 60 characters at most")
    .regex(/^[^\s\p{C}](?:[^\p{C}]*[^\s\p{C}])?$/u, "must hold visible characters, and no space at its ends");
}

/** A name that goes into keys, logs and metrics. */
export function name(): z.ZodString {
  return z
    .string()
    .regex(
      /^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$/,
      "must be 1 to 63 lower-case letters, digits, - or _, beginning and ending with a letter or digit",
    )
    .meta({ title: "name" });
}

/** A header's name, lower-cased (RFC 9110 §5.1). */
export function headerName(): z.ZodType<string, string> {
  return z
    .string()
    .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, "must be a header name")
    .meta({ title: "header name" })
    .transform((value) => value.toLowerCase());
}

/** A cookie's name (RFC 6265 §4.1.1). */
export function cookieName(): z.ZodString {
  return z
    .string()
    .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, "must be a cookie name")
    .meta({ title: "cookie name" });
}

/**
 * An absolute http or https URL without user, password and fragment. Whether http may be used is checked with
 * `allowInsecure`.
 */
export function url(): z.ZodString {
  return z
    .string()
    .refine((value) => isStandIn(value) || isUrl(value), "must be an https:// URL without user, password or fragment")
    .meta({ title: "URL" });
}

function isUrl(value: string): boolean {
  const parsed = URL.parse(value);
  return (
    parsed !== null &&
    (parsed.protocol === "https:" || parsed.protocol === "http:") &&
    parsed.username === "" &&
    parsed.password === "" &&
    parsed.hash === ""
  );
}
