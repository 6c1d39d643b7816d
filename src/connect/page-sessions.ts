import { z } from "zod";
import type { ReplyCookie } from "../check/reply.ts";
import { digestOf, equalSecrets } from "../platform/digest.ts";
import type { Random } from "../platform/random.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import { cookieCredential } from "../sessions/cookies.ts";
import { identified } from "../sessions/session.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import type { Owner } from "../tokens/owner.ts";
import { knownBrowser } from "./browser.ts";
import type { IssuerSessions } from "./issuer-sessions.ts";
import { endedCookie } from "./login-cookies.ts";
import { parseRecord } from "./states.ts";

/**
 * The cookie of somebody who logged in on our pages. It is no session of a source: an API's route never looks at it.
 */
export const pageCookie = "__Host-bearerswap-page";

/** How long such a login lasts, ms. The issuer mostly knows the user still, and the next one is a click. */
export const pageLifeMs = 60 * 60 * 1_000;

/** Who has logged in, by a verified ID token. */
export interface PageUser {
  /** The name of a jwt source whose sessions are their subjects. */
  readonly source: string;
  readonly subject: string;
  /** The issuer's name for its own session with the user. */
  readonly sid: string | undefined;
  /** For people to read. */
  readonly name: string | undefined;
}

/** Somebody who is logged in on our pages. */
export interface PageSession extends Pick<PageUser, "source" | "subject" | "name"> {
  /** The hash of the cookie's value. */
  readonly id: string;
  readonly issuer: string;
  /** What a token of that subject would be at the source. */
  readonly session: Owner & { readonly source: string };
}

/** Logins on our pages. Each is good in the browser in which it began, until its time is over or somebody ends it. */
export interface PageSessions {
  /** The cookie for a login that is about to end well. Its value is always a new one, never one that a browser brought. */
  newCookie(): ReplyCookie;
  /** Lets the cookie stand for the user. False if the issuer has ended the user's session there meanwhile. */
  begin(cookie: ReplyCookie, user: PageUser, browser: string): Promise<boolean>;
  /** Who is logged in where the request comes from. */
  at(input: CheckInput): Promise<PageSession | undefined>;
  /** Ends what the request's cookie stands for, whosever browser it is in, and the cookie. */
  end(input: CheckInput): Promise<ReplyCookie>;
}

interface PageSessionsDeps {
  /** The sources that people can log in for, with their issuers. */
  readonly issuers: ReadonlyMap<string, string>;
  readonly issuerSessions: IssuerSessions;
  readonly flows: FlowStore;
  readonly random: Random;
}

const recordSchema = z.object({
  source: z.string(),
  issuer: z.string(),
  subject: z.string(),
  name: z.string().optional(),
  browser: z.string(),
  marks: z.record(z.string(), z.string()),
});
const valueSyntax = /^[A-Za-z0-9_-]{44}$/;

export function createPageSessions({ issuers, issuerSessions, flows, random }: PageSessionsDeps): PageSessions {
  return {
    newCookie: () => ({ name: pageCookie, value: `${random.id()}${random.id()}`, maxAgeMs: pageLifeMs }),

    async begin({ value }, { source, subject, sid, name }, browser) {
      const issuer = issuers.get(source) ?? "";
      const marks = await issuerSessions.marksOf(issuer, { sub: subject, sid }, pageLifeMs);
      if (marks === undefined) return false;
      const record = { source, issuer, subject, name, browser, marks };
      return flows.put("page", digestOf(value), JSON.stringify(record), pageLifeMs);
    },

    async at(input) {
      const [value, browser] = [cookieValue(input), knownBrowser(input)];
      if (value === undefined || browser === undefined) return undefined;
      const id = digestOf(value);
      const text = await flows.read("page", id);
      if (text === undefined) return undefined;
      const { source, issuer, subject, name, marks, ...record } = parseRecord(recordSchema, text, "page");
      if (!equalSecrets(record.browser, browser.hash) || issuers.get(source) !== issuer) return undefined;
      const identification = identified({ kind: "jwt", name: source }, subject, { subject });
      if (identification.kind !== "identified" || !(await issuerSessions.areStanding(marks))) return undefined;
      return { id, source, issuer, subject, name, session: identification.session };
    },

    async end(input) {
      const value = cookieValue(input);
      if (value !== undefined) await flows.take("page", digestOf(value));
      return endedCookie(pageCookie);
    },
  };

  function cookieValue(input: CheckInput): string | undefined {
    const credential = cookieCredential(pageCookie, input.cookies);
    return credential.kind === "present" && valueSyntax.test(credential.value) ? credential.value : undefined;
  }
}
