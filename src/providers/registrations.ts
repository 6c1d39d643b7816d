import { z } from "zod";
import { type BoundClient, boundClientSchema, plainClient } from "../platform/bound-client.ts";
import type { Clock } from "../platform/clock.ts";
import { digestOf } from "../platform/digest.ts";
import { BearerswapError } from "../platform/error.ts";
import type { Random } from "../platform/random.ts";
import { type IssuerMetadata, plainIssuer } from "./mcp-issuer.ts";
import { clientMetadata, type OwnClient } from "./own-client.ts";
import type { Registration } from "./registration-request.ts";

/**
 * Records that all replicas share, and that end by themselves. `client`: a client that a server has registered.
 * `claim`: a replica is registering one.
 */
export interface ClientRecords {
  /** Keeps a value for `lifeMs`. The first one that is put under an id stays. @returns whether this was the first */
  put(kind: "client" | "claim", id: string, value: string, lifeMs: number): Promise<boolean>;
  /** The value, which lives for `renewMs` from now on if that is given. */
  read(kind: "client" | "claim", id: string, renewMs?: number): Promise<string | undefined>;
  /** Takes the value away. */
  take(kind: "client" | "claim", id: string): Promise<string | undefined>;
}

/** The clients that servers have registered for us: one for each upstream and server, shared by all replicas. */
export interface Registrations {
  /**
   * The registered client, which is registered first if there is none, or the server does not know it any more.
   * @param isGone whether the server has forgotten a client
   * @throws BearerswapError `registration`, or what the store throws
   */
  clientAt(server: IssuerMetadata, isGone: (client: BoundClient) => boolean): Promise<BoundClient>;
}

interface RegistrationsDeps {
  readonly upstream: string;
  readonly own: OwnClient;
  readonly records: ClientRecords;
  /** Registers our client at a server, in one request. */
  readonly register: (server: IssuerMetadata) => Promise<Registration>;
  readonly clock: Pick<Clock, "wallMs" | "monotonicMs" | "after">;
  readonly random: Random;
}

/** A registration is kept for this long, ms, after it was last used for a login. Grants keep their client themselves. */
const keptMs = 400 * 86_400_000;
/** For this long, ms, a replica may be registering before another takes over: longer than the request may take. */
const claimMs = 30_000;
/** How often those who wait for another replica look, ms, and how long they wait. */
const lookAgainMs = 250;
const waitMs = 15_000;
/** A client is registered anew at most once in this time, ms, whether its server has forgotten it or ends its secret. */
const anewMs = 60 * 60 * 1_000;
/** After a failure the server is left alone for this, ms, as anybody may begin logins. */
const failurePauseMs = 30_000;
/** A secret with less left, ms, may end before a login does. */
const secretReserveMs = 15 * 60 * 1_000;

const recordShape = z.object({
  client: boundClientSchema,
  secretExpiresAt: z.number().optional(),
  registeredAt: z.number(),
});
type Kept = z.output<typeof recordShape>;

export function createRegistrations(deps: RegistrationsDeps): Registrations {
  const { upstream, own, records, register, clock, random } = deps;
  const underWay = new Map<string, Promise<BoundClient>>();
  const failures = new Map<string, { readonly until: number; readonly error: unknown }>();

  return {
    async clientAt(server, isGone) {
      const id = idOf(server.issuer);
      const kept = await read(id);
      if (kept !== undefined && isUsable(kept, isGone)) return kept.client;
      const shared = underWay.get(id) ?? registered(id, server, isGone).finally(() => underWay.delete(id));
      underWay.set(id, shared);
      return shared;
    },
  };

  /** Another address of ours, or another key, is another client. */
  function idOf(issuer: string): string {
    const { redirect_uris, jwks } = clientMetadata(own, [upstream], "private_key_jwt");
    return digestOf(upstream, plainIssuer(issuer), JSON.stringify([redirect_uris, jwks]));
  }

  async function registered(
    id: string,
    server: IssuerMetadata,
    isGone: (client: BoundClient) => boolean,
  ): Promise<BoundClient> {
    const failure = failures.get(id);
    if (failure !== undefined && clock.monotonicMs() < failure.until) throw failure.error;
    const claim = random.id();
    const until = clock.monotonicMs() + waitMs;
    while (!(await records.put("claim", id, claim, claimMs))) {
      if (clock.monotonicMs() >= until) throw busy(server.issuer);
      await new Promise<void>((resolve) => void clock.after(lookAgainMs, resolve));
      const kept = await read(id);
      if (kept !== undefined && isUsable(kept, isGone)) return kept.client;
    }
    try {
      return await registerClaimed(id, server, isGone);
    } catch (error) {
      failures.set(id, { until: clock.monotonicMs() + failurePauseMs, error });
      throw error;
    } finally {
      await giveBack(id, claim);
    }
  }

  /** With the claim: nobody else registers meanwhile, unless this takes so long that the claim ends. */
  async function registerClaimed(
    id: string,
    server: IssuerMetadata,
    isGone: (client: BoundClient) => boolean,
  ): Promise<BoundClient> {
    const kept = await read(id);
    if (kept !== undefined && isUsable(kept, isGone)) return kept.client;
    if (kept !== undefined) {
      const passedMs = clock.wallMs() - kept.registeredAt;
      const why = isEnding(kept) ? "gave our client a secret that is at its end already" : "no longer knows our client";
      if (passedMs >= 0 && passedMs < anewMs) throw tooSoon(server.issuer, kept, why, anewMs - passedMs);
    }
    const { client, secretExpiresAt } = await register(server);
    // Put first wins, so that the old one has to be away. If this process ends in between, the next login registers.
    if (kept !== undefined) await records.take("client", id);
    const text = JSON.stringify({ client: plainClient(client), secretExpiresAt, registeredAt: clock.wallMs() });
    if (await records.put("client", id, text, keptMs)) return client;
    return (await read(id))?.client ?? client;
  }

  function isUsable(kept: Kept, isGone: (client: BoundClient) => boolean): boolean {
    return !isEnding(kept) && !isGone(kept.client);
  }

  function isEnding({ secretExpiresAt }: Kept): boolean {
    return secretExpiresAt !== undefined && clock.wallMs() + secretReserveMs >= secretExpiresAt;
  }

  async function read(id: string): Promise<Kept | undefined> {
    const value = await records.read("client", id, keptMs);
    if (value === undefined) return undefined;
    try {
      return recordShape.parse(JSON.parse(value));
    } catch {
      // The cause would quote the secret. A newer version may have written it.
      throw new BearerswapError(
        "store_corrupt",
        `the record flow:client:${id} of a registered client cannot be read: delete it`,
      );
    }
  }

  /** Only one's own claim: the next replica may have it by now. */
  async function giveBack(id: string, claim: string): Promise<void> {
    const held = await records.read("claim", id).catch(() => undefined);
    if (held === claim) await records.take("claim", id).catch(() => undefined);
  }
}

function busy(issuer: string): BearerswapError {
  return new BearerswapError(
    "registration",
    `another replica has been registering our client at ${issuer} for too long: it is tried again with the next login`,
  );
}

function tooSoon(issuer: string, { client }: Kept, why: string, leftMs: number): BearerswapError {
  const minutes = Math.ceil(leftMs / 60_000);
  return new BearerswapError(
    "registration",
    `${issuer} ${why} (${client.id}), which it registered within the last hour: it is registered once more in ${minutes} min at the earliest; where this happens again and again, register one by hand and set clientId`,
  );
}
