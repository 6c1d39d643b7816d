import { z } from "zod";
import { BearerswapError } from "../error.ts";
import type { Login } from "../providers/code-flow.ts";
import type { Random } from "../random.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import { hashOf } from "./browser.ts";

/** A login has to be finished within this, ms. */
export const flowLifeMs = 10 * 60 * 1_000;

/** Whose grant a login will be: a session's, or a newcomer's, whose session begins with it. `subject` is left out where the session's source states none. */
const ownerSchema = z.object({ session: z.string(), subject: z.string().optional() });
const stateSchema = z.object({
  /** `identify`: at the session's issuer, to learn who follows a ticket's link. `connect`: at the upstream's provider. */
  step: z.enum(["identify", "connect"]),
  upstream: z.string(),
  /** The browser that began, by its hash. */
  browser: z.string(),
  owner: ownerSchema.optional(),
  /** How the browser showed that it may act for the owner: by its session, which it must show again, or by a login that matched a ticket. */
  by: z.enum(["session", "ticket"]),
  /** The ticket, for `identify`: taken when the login has matched it. */
  ticket: z.string().optional(),
  returnTo: z.string().optional(),
  nonce: z.string(),
  verifier: z.string(),
});

export type FlowOwner = z.output<typeof ownerSchema>;
export type FlowState = z.output<typeof stateSchema>;

/** Logins under way. Kept in the store, under the state's hash, so that any replica can finish them, once. */
export interface States {
  /** @returns what the provider is told */
  begin(state: Omit<FlowState, "nonce" | "verifier">): Promise<Login>;
  /** What was begun under this state; undefined where nothing was, it took too long, or it was finished already. */
  look(state: string): Promise<{ readonly flow: FlowState; readonly login: Login } | undefined>;
  /** Uses it up: of several who do at the same time one gets true. */
  take(state: string): Promise<boolean>;
}

const stateSyntax = /^[A-Za-z0-9_-]{22}$/;

export function createStates({ flows, random, redirectUri }: { readonly flows: FlowStore; readonly random: Random; readonly redirectUri: string }): States {
  return {
    async begin(begun) {
      const state = random.id();
      const login = { redirectUri, state, nonce: random.id(), verifier: `${random.id()}${random.id()}` };
      const flow: FlowState = { ...begun, nonce: login.nonce, verifier: login.verifier };
      await flows.put("state", hashOf(state), JSON.stringify(flow), flowLifeMs);
      return login;
    },

    take: async (state) => (await flows.take("state", hashOf(state))) !== undefined,

    async look(state) {
      const value = stateSyntax.test(state) ? await flows.read("state", hashOf(state)) : undefined;
      if (value === undefined) return undefined;
      const flow = parseRecord(stateSchema, value, "state");
      return { flow, login: { redirectUri, state, nonce: flow.nonce, verifier: flow.verifier } };
    },
  };
}

/** @throws BearerswapError `store_corrupt`, without the value */
export function parseRecord<T>(schema: z.ZodType<T>, value: string, kind: string): T {
  try {
    return schema.parse(JSON.parse(value));
  } catch {
    throw new BearerswapError("store_corrupt", `a record of kind "${kind}" cannot be read: another version of bearerswap may have written it; begin again`);
  }
}
