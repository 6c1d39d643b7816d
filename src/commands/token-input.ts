import { z } from "zod";
import { BearerswapError } from "../platform/error.ts";
import { instantField, numberField, scopeField } from "../providers/token-response.ts";

/**
 * Reads a field as it is read in a provider's answer. There a value that makes no sense is passed over; here it is a
 * problem, since somebody is there to correct it.
 */
const read = <T>(reader: (value: unknown) => T | undefined, form: string) =>
  z
    .unknown()
    .transform((value, context) => {
      if (value === null || value === "") return undefined;
      const found = reader(value);
      if (found === undefined) context.addIssue({ code: "custom", message: `must be ${form}` });
      return found;
    })
    .optional();
const text = read((value) => (typeof value === "string" ? value : undefined), "a text");
const seconds = read(numberField, "a number of seconds");

/** RFC 6749 §5.1, with the fields a login may add. Others, such as `id_token`, are left out. */
const tokenInput = z.object({
  access_token: text,
  refresh_token: text,
  token_type: text,
  scope: read(scopeField, "a text or a list of texts"),
  expires_in: seconds,
  expires_at: read(instantField, "epoch seconds, epoch milliseconds or a date (RFC 3339)"),
  refresh_expires_in: seconds,
  refresh_token_expires_in: seconds,
});

/** A token response in the admin service's words. */
interface TokenInput {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly tokenType: string;
  readonly scope: string;
  readonly expiresIn?: number | undefined;
  readonly expiresAt?: number | undefined;
  readonly refreshExpiresIn?: number | undefined;
}

/**
 * Reads a token response as JSON, or a bare refresh token.
 * @throws BearerswapError `input`; the message quotes nothing of the text
 */
export function parseTokenInput(input: string): TokenInput {
  const trimmed = input.trim();
  if (trimmed === "")
    throw new BearerswapError(
      "input",
      "nothing on standard input: pipe in the provider's token response as JSON, or a refresh token",
    );
  if (isNoToken(trimmed))
    throw new BearerswapError(
      "input",
      "standard input is not a refresh token: it is a number, or what programs print for a missing field (null); pipe in the provider's token response as JSON, or a refresh token",
    );
  if (/^[^\s{["<]+$/.test(trimmed)) return { accessToken: "", refreshToken: trimmed, tokenType: "", scope: "" };
  const parsed = tokenInput.safeParse(parseJson(trimmed));
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) =>
      issue.path.length === 0 ? "it must be an object" : `${issue.path.join(".")} ${issue.message}`,
    );
    throw new BearerswapError(
      "input",
      `standard input is no token response (RFC 6749 section 5.1): ${[...new Set(problems)].join(", ")}`,
    );
  }
  const token = parsed.data;
  if (token.access_token === undefined && token.refresh_token === undefined)
    throw new BearerswapError(
      "input",
      "the token response on standard input has neither access_token nor refresh_token",
    );
  return {
    accessToken: token.access_token ?? "",
    refreshToken: token.refresh_token ?? "",
    tokenType: token.token_type ?? "",
    scope: token.scope ?? "",
    expiresIn: whole(token.expires_in),
    expiresAt: whole(token.expires_at === undefined ? undefined : token.expires_at / 1_000),
    refreshExpiresIn: whole(token.refresh_expires_in ?? token.refresh_token_expires_in),
  };
}

/**
 * Reads a secret.
 * @throws BearerswapError `input`; the message quotes nothing of the text
 */
export function parseSecretInput(input: string): string {
  const line = input.replace(/\r?\n$/, "");
  if (line.trim() === "")
    throw new BearerswapError("input", "nothing on standard input: pipe in the secret, or user:password");
  if (/[\r\n]/.test(line))
    throw new BearerswapError("input", "standard input holds more than one line: pipe in the secret alone");
  if (/^(?:null|undefined|none|nil)$/i.test(line))
    throw new BearerswapError("input", "standard input is no secret: it is what programs print for a missing field");
  return line;
}

/** `jq -r .refresh_token` prints `null` where there is none: stored, it would take the place of a token that works. */
function isNoToken(input: string): boolean {
  return /^(?:null|undefined|none|nil|nan|true|false|[+-]?\d{1,20}(?:\.\d{1,20})?)$/i.test(input);
}

function parseJson(input: string): unknown {
  try {
    return JSON.parse(input);
  } catch {
    // The parser's message quotes the text, which holds tokens.
    throw new BearerswapError("input", "standard input is neither JSON nor a bare refresh token");
  }
}

function whole(value: number | undefined): number | undefined {
  return value === undefined
    ? undefined
    : Math.floor(Math.max(Math.min(value, Number.MAX_SAFE_INTEGER), Number.MIN_SAFE_INTEGER));
}
