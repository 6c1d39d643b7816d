/** What a 401 or 403 says of the token that it answers, by the `error` of its challenges (RFC 6750 §3.1). */
export interface Challenge {
  /** All `error` values, of whatever scheme. */
  readonly errors: readonly string[];
  /** `scope` of the first challenge that has one. */
  readonly scope: string | undefined;
}

/** Names begin where no earlier part of them stands: else a long word without `=` would be read from each of its letters. */
const parameter = /(?<![\w-])([\w-]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^\s,"]+)/g;

/** Reads `WWW-Authenticate` (RFC 9110 §11.6.1), with several lines joined by a comma. */
export function challengeIn(header: string): Challenge {
  const found = [...header.matchAll(parameter)].map(
    ([, name = "", value = ""]) => [name.toLowerCase(), unquoted(value)] as const,
  );
  return {
    errors: found.filter(([name]) => name === "error").map(([, value]) => value),
    scope: found.find(([name]) => name === "scope")?.[1],
  };
}

/** Whether another token of the same grant may cure a 401: it names no error, or none but `invalid_token`. */
export function speaksOfToken({ errors }: Challenge): boolean {
  return errors.every((error) => error === "invalid_token");
}

function unquoted(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replace(/\\(.)/g, "$1") : text;
}
