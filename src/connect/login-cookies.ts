import type { ReplyCookie } from "../check/reply.ts";
import { digestOf } from "../platform/digest.ts";

/** Cookies of logins under way begin with this: one for each login, so that two tabs never overwrite each other's. */
export const loginCookiePrefix = "__Host-bearerswap-login-";

/** Name and value together. Browsers keep 4,096 bytes with the attributes. */
export const longestLoginCookie = 3_500;
/** Logins under way in one browser. */
const maxLogins = 5;
/** Of a browser that brings more than we ever gave it, so many are deleted with one answer. */
const maxDeletions = 10;
const pairSyntax = /^[ \t]*(__Host-bearerswap-login-[A-Za-z0-9_-]{16})=(\d{1,16})\.[A-Za-z0-9._-]+[ \t]*$/;

export function loginCookieName(state: string): string {
  return `${loginCookiePrefix}${digestOf(state).slice(0, 16)}`;
}

/** Deletes it. */
export function endedCookie(name: string): ReplyCookie {
  return { name, value: "", maxAgeMs: 0 };
}

/**
 * Deletes what is too many beside a login that begins now, oldest first. The times are the browser's word: they choose
 * what is deleted there, and nothing else.
 *
 * @param ended the cookie of a login that the new one continues: it goes anyway, and must not cost another login its
 * place
 */
export function surplusCookies(header: string | undefined, ended?: ReplyCookie): ReplyCookie[] {
  if (header === undefined || !header.includes(loginCookiePrefix)) return [];
  const begun = new Map<string, number>();
  for (const pair of header.split(";")) {
    const [, name, expiry] = pair.length > longestLoginCookie + 64 ? [] : (pairSyntax.exec(pair) ?? []);
    if (name !== undefined && name !== ended?.name) begun.set(name, Number(expiry));
  }
  const oldestFirst = [...begun].sort(([, a], [, b]) => a - b).map(([name]) => name);
  return oldestFirst
    .slice(0, Math.min(maxDeletions, Math.max(0, oldestFirst.length - (maxLogins - 1))))
    .map(endedCookie);
}
