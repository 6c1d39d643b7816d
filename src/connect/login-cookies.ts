import type { ReplyCookie } from "../check/reply.ts";
import { digestOf } from "../platform/digest.ts";

/**
 * Names of cookies of logins begin with this. Each login has its own, so that two tabs never overwrite each other's.
 */
export const loginCookiePrefix = "__Host-bearerswap-login-";

/** Name and value together. Browsers keep 4,096 bytes with the attributes. */
export const longestLoginCookie = 3_500;
/** Logins under way in one browser. */
const maxLogins = 5;
/** At most this many are deleted with one answer, for a browser that brings more than we ever gave it. */
const maxDeletions = 10;
const pairSyntax = /^[ \t]*(__Host-bearerswap-login-[A-Za-z0-9_-]{16})=(\d{1,16})\.[A-Za-z0-9._-]+[ \t]*$/;

export function loginCookieName(state: string): string {
  return `${loginCookiePrefix}${digestOf(state).slice(0, 16)}`;
}

/** The cookie that deletes the one of this name. */
export function endedCookie(name: string): ReplyCookie {
  return { name, value: "", maxAgeMs: 0 };
}

/**
 * Deletes the oldest logins of a browser that has too many as another one begins. The times come from the browser, and
 * are used for nothing but to choose what is deleted there.
 *
 * @param ended the cookie of a login that the new one continues: it is deleted anyway, and is not counted
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
