import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { GrantKey } from "./grant.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { watchHistories } from "./redis-history.ts";
import type { Change, ChangeListener, SessionEnd } from "./token-store.ts";

interface ChangesDeps {
  readonly redis: Pick<RedisConnection, "publish" | "subscribe" | "resubscribe" | "onReady" | "histories">;
  readonly channel: string;
  readonly keyPrefix: string;
  /** Which grant a key is of, where it has not the form that {@link newsText} gives it. */
  readonly grantOf?: ((key: string) => GrantKey | undefined) | undefined;
  readonly listener: ChangeListener;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** A heartbeat is sent this often, ms. */
const heartbeatMs = 1_000;
/**
 * If none of our own heartbeats comes back in this time, ms, the subscription counts as dead and is made anew. So it is
 * where one of them has not come: nodes of a cluster pass messages on, and one of them may hear less than the others.
 */
const silenceMs = 4_000;
/**
 * Where single heartbeats stay away all the same, as behind a proxy that balances, the pause before that counts again is
 * doubled up to this, ms: each new subscription is a gap, and keeps refreshes waiting.
 */
const longestPauseMs = 10 * 60_000;

const ended = "ended";
/** Sessions are told by their hashes, behind which a `tsid` may stand: both together are shorter; in characters. */
const longestSession = 300;

/** The channel on which all replicas hear what has changed. */
export function changesChannel(keyPrefix: string): string {
  return `${keyPrefix}changes`;
}

/** What is published of it. */
export function newsText(news: Change | SessionEnd, keyPrefix: string): string {
  if ("endedAt" in news) return `${ended} ${news.endedAt} ${news.session}`;
  const { session, upstream, version, isRejected } = news;
  return `${version} ${keyPrefix}{${session}}:grant:${upstream}${isRejected ? " rejected" : ""}`;
}

/**
 * Passes on what is published, `<version> <key>`, `<version> <key> rejected` or `ended <epoch ms> <session>`, until the
 * returned function is called. A subscription can die without a sign. So this replica publishes a heartbeat,
 * `heartbeat <replica> <number>`, and listens for it: once it is back, all that was published before it has come as
 * well. As often it asks the servers for their histories, since writes can be lost without any connection noticing.
 */
export function listenForChanges({
  redis,
  channel,
  keyPrefix,
  grantOf,
  listener,
  clock,
  random,
  log,
}: ChangesDeps): () => void {
  const replica = random.id();
  const histories = watchHistories({ ask: redis.histories, listener, log });
  const sentAt = new Map<string, number>();
  let beats = 0;
  let aliveAt = clock.monotonicMs();
  let bearsLossUntil = Number.NEGATIVE_INFINITY;
  let pauseMs = silenceMs;
  /** False before the first connection and during an outage that is logged already: a failure is no news then. */
  let isNews = false;
  let stop = () => {};

  redis.subscribe(channel, { message: hear, subscribed: begin });
  // A new master may have lost writes, and the subscription may not have noticed that the old one is gone.
  redis.onReady(() => {
    isNews = true;
    listener.gap();
    void histories.look();
  });
  // The connection may be there already.
  void histories.look();
  schedule();
  return () => stop();

  function begin(): void {
    aliveAt = clock.monotonicMs();
    sentAt.clear();
    listener.gap();
    void beat();
  }

  function hear(text: string): void {
    const [first, second, third] = text.split(" ");
    if (first === "heartbeat") hearBeat(second, third);
    else if (first === ended) hearEnd(second, third);
    else {
      const key = grantOf?.(second ?? "") ?? keyOf(second ?? "", keyPrefix);
      if (key === undefined) return;
      if (third === "rejected") listener.changed({ ...key, version: first ?? "", isRejected: true });
      else listener.changed({ ...key, version: first ?? "" });
    }
  }

  /** Whoever hears of an end remembers it: what is none must not stand in the way of a real one. */
  function hearEnd(at = "", session = ""): void {
    const endedAt = at === "" ? Number.NaN : Number(at);
    if (Number.isFinite(endedAt) && session !== "" && session.length <= longestSession)
      listener.ended({ session, endedAt });
  }

  function hearBeat(from: string | undefined, beat: string | undefined): void {
    const at = sentAt.get(beat ?? "");
    if (from !== replica || at === undefined) return;
    sentAt.delete(beat ?? "");
    aliveAt = clock.monotonicMs();
    listener.heard(at);
  }

  async function beat(): Promise<void> {
    const number = String(beats++);
    sentAt.set(number, clock.monotonicMs());
    try {
      await redis.publish(channel, `heartbeat ${replica} ${number}`);
      isNews = true;
    } catch (error) {
      sentAt.delete(number);
      if (isNews)
        log.warn(
          { event: "heartbeat", reason: messageOf(error) },
          "cannot publish to the changes channel: until this works, cached tokens are compared with the store, which " +
            "costs reads; nothing is lost",
        );
      isNews = false;
    }
  }

  function schedule(): void {
    stop = clock.after(heartbeatMs, () => {
      // Those that could not be published are not in there.
      const lostAt = Math.min(...sentAt.values());
      const now = clock.monotonicMs();
      const isLossy = now - lostAt > silenceMs && now >= bearsLossUntil;
      if (now - aliveAt > silenceMs || isLossy) {
        if (isLossy) {
          // After twice the pause without a loss all is well again.
          pauseMs = now > bearsLossUntil + 2 * pauseMs ? silenceMs : Math.min(pauseMs * 2, longestPauseMs);
          bearsLossUntil = now + pauseMs;
        }
        aliveAt = now;
        sentAt.clear();
        redis.resubscribe();
      }
      void beat();
      void histories.look();
      schedule();
    });
  }
}

/** From `<prefix>{S}:grant:<upstream>`; undefined for any other key. */
function keyOf(name: string, prefix: string): GrantKey | undefined {
  const end = name.indexOf("}:grant:");
  if (!name.startsWith(`${prefix}{`) || end === -1) return undefined;
  return { session: name.slice(prefix.length + 1, end), upstream: name.slice(end + "}:grant:".length) };
}
