import { LRUCache } from "lru-cache";
import { z } from "zod";
import type { Clock } from "../platform/clock.ts";
import { digestOf } from "../platform/digest.ts";
import { upTo } from "../platform/lru-options.ts";
import type { Random } from "../platform/random.ts";
import type { FlowStore } from "../stores/flow-store.ts";
import { grantId } from "../stores/grant.ts";
import { flowLifeMs, parseRecord } from "./states.ts";

const ticketSchema = z.object({ session: z.string(), source: z.string(), subject: z.string(), upstream: z.string() });

/** For whom a link was made: a session that never comes to a browser, and who it belongs to. */
export type Ticket = z.output<typeof ticketSchema>;

/**
 * Links for sessions that never come to a browser. A ticket is no secret: it opens nothing, and only says who has to
 * log in. It is good for one login within ten minutes. It is used up when that login has matched, so that a program
 * that previews links does not use it up.
 */
export interface Tickets {
  issue(ticket: Ticket): Promise<string>;
  /** Undefined if there is no such ticket, or it was used, or its time is over. */
  look(id: string): Promise<Ticket | undefined>;
  /** Like `look`, and uses the ticket up. */
  take(id: string): Promise<Ticket | undefined>;
}

interface TicketsDeps {
  readonly flows: FlowStore;
  readonly random: Random;
  readonly clock: Pick<Clock, "monotonicMs">;
}

/**
 * For this long, ms, a client that asks again gets the same ticket: one that asks every second then does not fill the
 * store, and each link has most of its time left.
 */
const sameTicketMs = 2 * 60 * 1_000;
const maxRemembered = 10_000;
const ticketSyntax = /^[A-Za-z0-9_-]{22}$/;

export function createTickets({ flows, random, clock }: TicketsDeps): Tickets {
  const issued = new LRUCache<string, { readonly id: string; readonly until: number }>(upTo(maxRemembered));
  /** Tickets that are being issued: requests that come in at the same time share one. */
  const issuing = new Map<string, Promise<string>>();

  return {
    issue(ticket) {
      const key = grantId(ticket);
      const underWay = issuing.get(key) ?? issue(ticket).finally(() => issuing.delete(key));
      issuing.set(key, underWay);
      return underWay;
    },
    look,
    take: (id) => parsed(id, (hash) => flows.take("ticket", hash)),
  };

  async function issue(ticket: Ticket): Promise<string> {
    const known = issued.get(grantId(ticket));
    if (known !== undefined && clock.monotonicMs() < known.until && (await look(known.id)) !== undefined)
      return known.id;
    const id = random.id();
    await flows.put("ticket", digestOf(id), JSON.stringify(ticket), flowLifeMs);
    issued.set(grantId(ticket), { id, until: clock.monotonicMs() + sameTicketMs });
    return id;
  }

  function look(id: string): Promise<Ticket | undefined> {
    return parsed(id, (hash) => flows.read("ticket", hash));
  }

  async function parsed(id: string, find: (hash: string) => Promise<string | undefined>): Promise<Ticket | undefined> {
    const value = ticketSyntax.test(id) ? await find(digestOf(id)) : undefined;
    return value === undefined ? undefined : parseRecord(ticketSchema, value, "ticket");
  }
}
