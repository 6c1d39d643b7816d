import { z } from "zod";
import { digestOf } from "../platform/digest.ts";
import type { Random } from "../platform/random.ts";
import type { FlowStore } from "../stores/flow-store.ts";
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
 * What links refer to by a random id, for ten minutes from the last time that it was handed out. An id is no secret: it
 * opens nothing. A ticket only says who has to log in. It is used up when that login has matched, so that a program that
 * previews links does not use it up. An ask is for the session that it names, and for no other one.
 *
 * As long as it is good, all replicas hand out the same id for the same invitation: the store says which. An API that
 * refuses each request of a million sessions then costs the store two records for each of them, not two for each request.
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
}

const idSyntax = /^[A-Za-z0-9_-]{22}$/;

export function createTickets(deps: InvitationsDeps): Tickets {
  return createInvitations("ticket", ticketSchema, deps);
}

export function createAsks(deps: InvitationsDeps): Asks {
  return createInvitations("ask", askSchema, deps);
}

function createInvitations<T extends Ticket | Ask>(
  kind: "ticket" | "ask",
  schema: z.ZodType<T>,
  { flows, random }: InvitationsDeps,
): Invitations<T> {
  /** Those that are being issued: requests that come in at the same time share one. */
  const issuing = new Map<string, Promise<string>>();

  return {
    issue(invitation) {
      const value = JSON.stringify(schema.parse(invitation));
      const key = digestOf(kind, value);
      const underWay = issuing.get(key) ?? issue(key, value).finally(() => issuing.delete(key));
      issuing.set(key, underWay);
      return underWay;
    },
    look: (id) => parsed(id, (hash) => flows.read(kind, hash)),
    take: (id) => parsed(id, (hash) => flows.take(kind, hash)),
  };

  async function issue(key: string, value: string): Promise<string> {
    const known = await flows.read("issued", key, flowLifeMs);
    if (known !== undefined) {
      const id = idOf(key, known);
      if ((await flows.read(kind, digestOf(id), flowLifeMs)) !== undefined) return id;
      // That one was used. If another replica has seen that too, either's id is good.
      await flows.take("issued", key);
    }
    const seed = random.id();
    const id = idOf(key, seed);
    await flows.put(kind, digestOf(id), value, flowLifeMs);
    if (await flows.put("issued", key, seed, flowLifeMs)) return id;
    const first = await flows.read("issued", key);
    if (first === undefined) return id;
    await flows.take(kind, digestOf(id));
    return idOf(key, first);
  }

  async function parsed(id: string, find: (hash: string) => Promise<string | undefined>): Promise<T | undefined> {
    const value = idSyntax.test(id) ? await find(digestOf(id)) : undefined;
    return value === undefined ? undefined : parseRecord(schema, value, kind);
  }
}

/** The store holds no id itself. Whoever reads all of its records could work one out, and it would open nothing. */
function idOf(key: string, seed: string): string {
  return digestOf(key, seed).slice(0, 22);
}
