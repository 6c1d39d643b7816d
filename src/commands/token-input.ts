import { z } from "zod";
import { BearerswapError } from "../error.ts";

const seconds = z.union([z.number(), z.string().regex(/^\d+$/).transform(Number)]).pipe(z.number().nonnegative());
const text = z
  .string()
  .nullish()
  .transform((value) => value ?? "");

/** RFC 6749 §5.1, with the fields a login may add. Others, such as `id_token`, are left out. */
const tokenInput = z.object({
  access_token: text,
  refresh_token: text,
  token_type: text,
  scope: text,
  expires_in: seconds.nullish(),
  expires_at: z.union([seconds, z.iso.datetime({ offset: true }).transform((date) => Date.parse(date) / 1_000)]).nullish(),
  refresh_expires_in: seconds.nullish(),
});

/** A token response in the admin service's words. */
export interface TokenInput {
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
  if (trimmed === "") throw new BearerswapError("input", "nothing on standard input: pipe in the provider's token response as JSON, or a refresh token");
  if (/^[^\s{["]+$/.test(trimmed)) return { accessToken: "", refreshToken: trimmed, tokenType: "", scope: "" };
  const parsed = tokenInput.safeParse(parseJson(trimmed));
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) =>
      issue.path.length === 0 ? "it must be an object" : `${issue.path.join(".")} is not what it should be`,
    );
    throw new BearerswapError("input", `standard input is no token response (RFC 6749 section 5.1): ${[...new Set(problems)].join(", ")}`);
  }
  const token = parsed.data;
  if (token.access_token === "" && token.refresh_token === "")
    throw new BearerswapError("input", "the token response on standard input has neither access_token nor refresh_token");
  return {
    accessToken: token.access_token,
    refreshToken: token.refresh_token,
    tokenType: token.token_type,
    scope: token.scope,
    expiresIn: whole(token.expires_in),
    expiresAt: whole(token.expires_at),
    refreshExpiresIn: whole(token.refresh_expires_in),
  };
}

function parseJson(input: string): unknown {
  try {
    return JSON.parse(input);
  } catch {
    // The parser's message quotes the text, which holds tokens.
    throw new BearerswapError("input", "standard input is neither JSON nor a bare refresh token");
  }
}

function whole(value: number | null | undefined): number | undefined {
  return value === null || value === undefined ? undefined : Math.floor(value);
}
