import { LRUCache } from "lru-cache";
import { z } from "zod";
import type { Clock } from "../platform/clock.ts";
import { digestOf } from "../platform/digest.ts";
import { upTo } from "../platform/lru-options.ts";
import type { Random } from "../platform/random.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import { grantId } from "../stores/grant.ts";
import { flowLifeMs, parseRecord } from "./states.ts";

/** What the user is to be asked for beyond what was granted, separated by spaces. Absent: a login like any other. */
const scope = z.string().optional();
const ticketSchema = z.object({
  ...{ session: z.string(), source: z.string(), subject: z.string(), upstream: z.string() },
  scope,
});
const askSchema = z.object({ session: z.string(), upstream: z.string(), scope: z.string() });

/** For whom a link was made: a session that never comes to a browser, and who it belongs to. */
export type Ticket = z.output<typeof ticketSchema>;
/** What the session at a browser is to be asked for. */
export type Ask = z.output<typeof askSchema>;

/**
 * What links refer to by a random id, for ten minutes. An id is no secret: it opens nothing. A ticket only says who has
 * to log in. It is used up when that login has matched, so that a program that previews links does not use it up. An ask
 * is for the session that it names, and for no other one.
 */
interface Invitations<T> {
  issue(invitation: T): Promise<string>;
  /** Undefined if there is none of that id, or it was used, or its time is over. */
  look(id: string): Promise<T | undefined>;
  /** Like `look`, and uses it up. */
  take(id: string): Promise<T | undefined>;
}

export type Tickets = Invitations<Ticket>;
export type Asks = Omit<Invitations<Ask>, "take">;

interface InvitationsDeps {
  readonly flows: FlowStore;
  readonly random: Random;
  readonly clock: Pick<Clock, "monotonicMs">;
}

/**
 * For this long, ms, a client that asks again gets the same id: one that asks every second then does not fill the store,
 * and each link has most of its time left.
 */
const sameIdMs = 2 * 60 * 1_000;
const maxRemembered = 10_000;
const idSyntax = /^[A-Za-z0-9_-]{22}$/;

export function createTickets(deps: InvitationsDeps): Tickets {
  return createInvitations("ticket", ticketSchema, deps);
}

export function createAsks(deps: InvitationsDeps): Asks {
  return createInvitations("ask", askSchema, deps);
}

function createInvitations<T extends Pick<Ticket, "session" | "upstream" | "scope">>(
  kind: "ticket" | "ask",
  schema: z.ZodType<T>,
  { flows, random, clock }: InvitationsDeps,
): Invitations<T> {
  const issued = new LRUCache<string, { readonly id: string; readonly until: number }>(upTo(maxRemembered));
  /** Those that are being issued: requests that come in at the same time share one. */
  const issuing = new Map<string, Promise<string>>();

  return {
    issue(invitation) {
      const key = `${grantId(invitation)}:${invitation.scope ?? ""}`;
      const underWay = issuing.get(key) ?? issue(key, invitation).finally(() => issuing.delete(key));
      issuing.set(key, underWay);
      return underWay;
    },
    look,
    take: (id) => parsed(id, (hash) => flows.take(kind, hash)),
  };

  async function issue(key: string, invitation: T): Promise<string> {
    const known = issued.get(key);
    if (known !== undefined && clock.monotonicMs() < known.until && (await look(known.id)) !== undefined)
      return known.id;
    const id = random.id();
    await flows.put(kind, digestOf(id), JSON.stringify(invitation), flowLifeMs);
    issued.set(key, { id, until: clock.monotonicMs() + sameIdMs });
    return id;
  }

  function look(id: string): Promise<T | undefined> {
    return parsed(id, (hash) => flows.read(kind, hash));
  }

  async function parsed(id: string, find: (hash: string) => Promise<string | undefined>): Promise<T | undefined> {
    const value = idSyntax.test(id) ? await find(digestOf(id)) : undefined;
    return value === undefined ? undefined : parseRecord(schema, value, kind);
  }
}
