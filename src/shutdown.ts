import type { Clock } from "./platform/clock.ts";
import { deadlineIn } from "./platform/deadline.ts";
import type { Log } from "./platform/log.ts";
import { type GrantKey, shortHash } from "./stores/grant.ts";

/** Finishes the calls under way, and takes no new ones. */
interface Draining {
  drain(timeoutMs: number): Promise<void>;
}

/** Work that goes on when nobody waits for it any more: what a provider has given must be stored. */
interface Working {
  settled(): Promise<void>;
}

interface Closing {
  close(): Promise<void>;
}

interface ShutdownDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly timeoutMs: number;
  /** From now on Envoy is told to look for another replica. */
  readonly readiness: { drain(): void };
  readonly servers: readonly (Draining | undefined)[];
  readonly work: readonly (Working | undefined)[];
  /** The grants whose new tokens are in this process only. */
  readonly unstored: () => readonly GrantKey[];
  /** When nothing is left to be done, or the time is over. */
  readonly closing: readonly (Closing | undefined)[];
  /** What is exported last of all. */
  readonly traces?: { close(timeoutMs: number): Promise<void> } | undefined;
}

/** A collector that is away must not keep a process from its end, ms. */
const longestExportMs = 5_000;

/** Ends the service: calls are answered first, then work is stored, then connections are closed. */
export async function shutDown(deps: ShutdownDeps): Promise<void> {
  const { clock, log, timeoutMs, readiness, servers, work, unstored, closing, traces } = deps;
  const deadline = deadlineIn(clock, timeoutMs);
  readiness.drain();
  await Promise.all(servers.map((server) => server?.drain(deadline.leftMs())));
  const isStored = await deadline.before(
    Promise.all(work.map((each) => each?.settled())).then(() => true),
    () => false,
  );
  if (!isStored)
    log.error(
      { event: "shutdown" },
      "refreshes were still under way at shutdown.timeout; what their providers answer is lost",
    );
  for (const { upstream, session } of unstored())
    log.error(
      { event: "commit_lost", upstream, session: shortHash(session) },
      "new tokens could not be stored before shutdown.timeout; this session may have to log in again",
    );
  await Promise.all(closing.map((each) => each?.close()));
  await traces?.close(Math.min(deadline.leftMs(), longestExportMs));
}
