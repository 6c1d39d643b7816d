import { createHmac } from "node:crypto";
import type { ReplyCookie } from "../check/reply.ts";
import { digestOf } from "../platform/digest.ts";
import type { Random } from "../platform/random.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import { cookieCredential } from "../sessions/cookies.ts";

/**
 * The cookie that tells one browser from another while it goes to a provider and back. It is no session: it opens
 * nothing.
 */
export const browserCookie = "__Host-bearerswap-browser";

/**
 * One browser. A login is finished only in the browser that began it, so that a link or a code of somebody else's login
 * is worth nothing here.
 */
export interface Browser {
  /** What the state of a login keeps of it. */
  readonly hash: string;
  /** To be set with the reply. */
  readonly cookie: ReplyCookie;
  /** Proves that a form was made for this browser, this session and this upstream. */
  formToken(session: string, upstream: string): string;
  /** The same for a link that connects an account: another user may have logged in since the page was shown. */
  linkToken(session: string, upstream: string): string;
  /** The same for the form that ends a login on our pages. */
  logOutToken(page: string): string;
}

/** Longer than a login takes, since the forms of a page that stays open are signed with it. */
const browserLifeMs = 12 * 60 * 60 * 1_000;
const valueSyntax = /^[A-Za-z0-9_-]{44}$/;

/** The browser that a request comes from; undefined where it brings no cookie of ours. */
export function knownBrowser(input: CheckInput): Browser | undefined {
  const credential = cookieCredential(browserCookie, input.cookies);
  return credential.kind === "present" && valueSyntax.test(credential.value) ? browserOf(credential.value) : undefined;
}

/** That browser, or a new one. */
export function browserFor(input: CheckInput, random: Random): Browser {
  return knownBrowser(input) ?? browserOf(`${random.id()}${random.id()}`);
}

function browserOf(value: string): Browser {
  const sign = (...what: readonly string[]) => createHmac("sha256", value).update(what.join("\0")).digest("base64url");
  return {
    hash: digestOf(value),
    cookie: { name: browserCookie, value, maxAgeMs: browserLifeMs },
    formToken: (session, upstream) => sign("disconnect", session, upstream),
    linkToken: (session, upstream) => sign("connect", session, upstream),
    logOutToken: (page) => sign("logout", page),
  };
}
