import { messageOf } from "../platform/error.ts";
import { type GrantKey, shortHash } from "../stores/grant.ts";
import { untilStored } from "../tokens/until-stored.ts";
import type { ConnectContext } from "./context.ts";
import { flowLifeMs } from "./states.ts";

/** A grant that is about to be stored, or was, and whose it is. */
interface Named {
  readonly key: GrantKey;
  readonly subject: string | undefined;
  readonly source: string | undefined;
}

/** Lets grants be found by their users, for as long as they live. Neither rejects: a login goes on without. */
interface GrantNaming {
  name(grant: Named, lifeMs: number): Promise<void>;
  /** Once more now that it is stored: who looked before found no grant, and took the name away. */
  nameAgain(grant: Named, lifeMs: number): void;
}

export function createGrantNaming({ names, clock, log }: Pick<ConnectContext, "names" | "clock" | "log">): GrantNaming {
  return {
    name: (grant, lifeMs) => named(grant, lifeMs).catch((error: unknown) => notNamed(grant, error)),
    nameAgain(grant, lifeMs) {
      const failed = (reason: unknown) => notNamed(grant, reason);
      void untilStored(clock, () => named(grant, lifeMs), flowLifeMs, failed).catch(() => undefined);
    },
  };

  async function named({ key, source, subject }: Named, lifeMs: number): Promise<void> {
    if (source !== undefined && subject !== undefined) await names?.granted(source, key.session, subject, lifeMs);
  }

  function notNamed({ key: { upstream, session } }: Named, reason: unknown): void {
    log.warn(
      { event: "session_not_indexed", upstream, session: shortHash(session), reason: messageOf(reason) },
      "a login could not be stored under its user's name, and goes on; it is tried again when the account is connected",
    );
  }
}
