import { z } from "zod";
import type { ReplyCookie } from "../check/reply.ts";
import { boundClientSchema, plainClient } from "../platform/bound-client.ts";
import type { Clock } from "../platform/clock.ts";
import { digestOf } from "../platform/digest.ts";
import { BearerswapError } from "../platform/error.ts";
import type { Random } from "../platform/random.ts";
import type { Login } from "../providers/code-flow.ts";
import { cookieCredential } from "../sessions/cookies.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import type { Sealer } from "../stores/sealing.ts";
import { createFlowKeys } from "./flow-keys.ts";
import { endedCookie, loginCookieName, longestLoginCookie } from "./login-cookies.ts";

/** A login has to be finished within this, ms. */
export const flowLifeMs = 10 * 60 * 1_000;

/**
 * Whose grant a login will be: a session's, or a newcomer's, whose session begins with it. `subject` is left out where
 * the session's source states none.
 */
const ownerSchema = z.object({
  session: z.string(),
  subject: z.string().optional(),
  /** The session's source. Missing where an earlier version began the login. */
  source: z.string().optional(),
});
const stateSchema = z.object({
  /**
   * `identify`: at the session's issuer, to learn who follows a ticket's link. `connect`: at the upstream's provider.
   * `sign_in`: at a source's issuer, to show the page of the accounts of that user.
   */
  step: z.enum(["identify", "connect", "sign_in"]),
  /** Empty for `sign_in`. */
  upstream: z.string(),
  /** The source to sign in for. */
  source: z.string().optional(),
  /** The browser that began, by its hash. */
  browser: z.string(),
  owner: ownerSchema.optional(),
  /**
   * How the browser showed that it may act for the owner. `session`: by its session, which it must show again when it
   * comes back. `page`: by its login on our pages, likewise. `ticket`: by a login that matched the ticket.
   */
  by: z.enum(["session", "page", "ticket"]),
  /** The ticket, for `identify`: it is used up when the login has matched it. */
  ticket: z.string().optional(),
  /** What its user is asked for beyond what was granted, separated by spaces. */
  asked: z.string().optional(),
  returnTo: z.string().optional(),
  /** `own`: it comes back at the redirect URI of its upstream alone, else at the shared one. */
  redirect: z.literal("own").optional(),
  /** The client that it was begun with, where that is not simply the configured one. */
  client: boundClientSchema.optional(),
  nonce: z.string(),
  verifier: z.string(),
});

export type FlowOwner = z.output<typeof ownerSchema>;
export type FlowState = z.output<typeof stateSchema>;

/** A login that was begun. */
export interface Begun {
  readonly flow: FlowState;
  readonly login: Login;
  /** Deletes the cookie that the login was in; undefined if the store had it. */
  readonly ended: ReplyCookie | undefined;
}

/**
 * Logins under way. Each is sealed in a cookie of its browser, so that what strangers begin costs the store nothing,
 * and any replica can finish it. When a login comes back, a mark in the store makes sure that it is finished only once.
 */
export interface States {
  /** @returns what the provider is told, and the cookie; undefined if the login is too long for a cookie */
  begin(
    state: Omit<FlowState, "nonce" | "verifier">,
  ): Promise<{ readonly login: Login; readonly cookie: ReplyCookie } | undefined>;
  /**
   * The login that was begun under this state in a browser with these cookies; undefined if there is none, or it took
   * too long.
   */
  look(state: string, cookies: string | undefined): Promise<Begun | undefined>;
  /** Uses the login up. Only the first who does it gets true, also among several at the same time. */
  take(begun: Begun): Promise<boolean>;
}

interface StatesDeps {
  readonly flows: FlowStore;
  readonly random: Random;
  readonly clock: Pick<Clock, "wallMs">;
  readonly redirectUriOf: (flow: Pick<FlowState, "upstream" | "redirect">) => string;
}

const stateSyntax = /^[A-Za-z0-9_-]{22}$/;
const valueSyntax = /^(\d{1,16})\.(s1\.([a-z0-9_-]{1,63})\.[A-Za-z0-9_-]+)$/;
/** What is sealed; `state` is its hash. */
const sealedSchema = stateSchema.extend({ state: z.string() });
/** How long the mark of a login is kept: longer than even a replica whose clock is 20 minutes behind accepts it. */
const markLifeMs = 3 * flowLifeMs;

export function createStates({ flows, random, clock, redirectUriOf }: StatesDeps): States {
  const keys = createFlowKeys({ flows, clock });

  return {
    async begin(begun) {
      const state = random.id();
      const [redirectUri, nonce] = [redirectUriOf(begun), random.id()];
      const login = { redirectUri, state, nonce, verifier: `${random.id()}${random.id()}`, client: begun.client };
      const flow: FlowState = { ...begun, nonce: login.nonce, verifier: login.verifier };
      const sealer = await keys.current();
      // If it is too long, the way back is left out: the user then comes to the page of accounts.
      const cookie = cookieOf(state, flow, sealer) ?? cookieOf(state, { ...flow, returnTo: undefined }, sealer);
      return cookie && { login, cookie };
    },

    async look(state, cookies) {
      if (!stateSyntax.test(state)) return undefined;
      const sealed = await opened(state, cookies);
      const flow = sealed ?? (await stored(state));
      if (flow === undefined) return undefined;
      const { nonce, verifier, client } = flow;
      const login = { redirectUri: redirectUriOf(flow), state, nonce, verifier, client };
      return { flow, login, ended: sealed && endedCookie(loginCookieName(state)) };
    },

    async take({ login: { state }, ended }) {
      const hash = digestOf(state);
      return ended === undefined
        ? (await flows.take("state", hash)) !== undefined
        : flows.put("used", hash, "1", markLifeMs);
    },
  };

  function cookieOf(state: string, flow: FlowState, sealer: Sealer): ReplyCookie | undefined {
    const name = loginCookieName(state);
    const expiry = String(clock.wallMs() + flowLifeMs);
    const text = JSON.stringify({ ...flow, client: plainClient(flow.client), state: digestOf(state) });
    const value = `${expiry}.${sealer.seal(text, placeOf(name, expiry))}`;
    return name.length + value.length > longestLoginCookie ? undefined : { name, value, maxAgeMs: flowLifeMs };
  }

  /** The login in the cookie; undefined whatever is wrong with it, since anybody may have written the cookie. */
  async function opened(state: string, cookies: string | undefined): Promise<FlowState | undefined> {
    const name = loginCookieName(state);
    const credential = cookieCredential(name, cookies);
    if (credential.kind !== "present" || credential.value.length > longestLoginCookie) return undefined;
    const [, expiry = "", value = "", keyId = ""] = valueSyntax.exec(credential.value) ?? [];
    if (!(clock.wallMs() < Number(expiry)) || expiry === "") return undefined;
    const sealer = await keys.named(keyId);
    const text = sealer && openedBy(sealer, value, placeOf(name, expiry));
    if (text === undefined) return undefined;
    const { state: hash, ...flow } = parseRecord(sealedSchema, text, "state");
    return hash === digestOf(state) ? flow : undefined;
  }

  /** Earlier versions kept logins in the store. They are still finished, so that an upgrade loses none. */
  async function stored(state: string): Promise<FlowState | undefined> {
    const value = await flows.read("state", digestOf(state));
    return value === undefined ? undefined : parseRecord(stateSchema, value, "state");
  }
}

/** Binds the seal to the cookie's name and expiry, so that it opens under no other name and no later. */
function placeOf(name: string, expiry: string) {
  return { key: name, field: "flow", version: expiry } as const;
}

function openedBy(sealer: Sealer, value: string, place: ReturnType<typeof placeOf>): string | undefined {
  try {
    return sealer.open(value, place);
  } catch (error) {
    if (error instanceof BearerswapError) return undefined;
    throw error;
  }
}

/** @throws BearerswapError `store_corrupt`, without the value */
export function parseRecord<T>(schema: z.ZodType<T>, value: string, kind: string): T {
  try {
    return schema.parse(JSON.parse(value));
  } catch {
    throw new BearerswapError(
      "store_corrupt",
      `a record of kind "${kind}" cannot be read: another version of bearerswap may have written it; begin again`,
    );
  }
}
