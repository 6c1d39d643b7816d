import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { Provider } from "../providers/provider.ts";
import { type GrantKey, shortHash } from "../stores/grant.ts";
import type { GrantRow, TokenStore } from "../stores/token-store.ts";

/** What secrets need beside what all grants need: they are never refreshed, and live for as long as they are used. */
export interface Secrets {
  /** Whether the upstream's grants are secrets. */
  areOf(upstream: string): boolean;
  /** Notes that this secret is in use. It is called once in {@link useNotedMs}, and returns at once. */
  used(key: GrantKey, version: string): void;
  /** When it was last used, epoch ms, to the hour; undefined if it never was, or that is not known. Never rejects. */
  lastUsedAt(key: GrantKey, version: string): Promise<number | undefined>;
  /**
   * Its API has rejected it: whether its trial says so, too. It is tried once in {@link triedMs} by all replicas together;
   * in between the answer is no. Never rejects.
   */
  isRefused(key: GrantKey, row: GrantRow): Promise<boolean>;
}

/** Small records that end by themselves, shared by all replicas. */
interface Records {
  put(kind: "tried" | "using", id: string, value: string, lifeMs: number): Promise<boolean>;
  set(kind: "use", id: string, value: string, lifeMs: number): Promise<void>;
  read(kind: "use", id: string): Promise<string | undefined>;
}

interface SecretsDeps {
  /** Those of the configuration in force; asked each time. */
  readonly providers: () => ReadonlyMap<string, Pick<Provider, "secret">>;
  readonly store: Pick<TokenStore, "read">;
  /** Absent where no upstream has secrets; asked each time. */
  readonly records: () => Records | undefined;
  readonly clock: Pick<Clock, "wallMs">;
  readonly log: Log;
}

/** How exactly it is known when a secret was last used, ms: what a busy one costs the store is one note in that time. */
export const useNotedMs = 60 * 60 * 1_000;
/** How long a secret that its API rejects is not tried again, ms. */
export const triedMs = 60_000;
/** How long a use is remembered, ms: longer than most secrets are kept without one. */
const useLifeMs = 400 * 86_400_000;

export function createSecrets({ providers, store, records, clock, log }: SecretsDeps): Secrets {
  return {
    areOf: (upstream) => providers().get(upstream)?.secret !== undefined,

    used(key, version) {
      note(key, version).catch((error: unknown) =>
        log.debug(
          { event: "use_not_noted", ...about(key), reason: messageOf(error) },
          "that a secret was used could not be noted: the page shows an earlier use",
        ),
      );
    },

    async lastUsedAt(key, version) {
      const text = await records()
        ?.read("use", idOf(key, version))
        .catch(() => undefined);
      return text === undefined || !/^\d{1,16}$/.test(text) ? undefined : Number(text);
    },

    async isRefused(key, { version, access }) {
      const verify = providers().get(key.upstream)?.secret?.verify;
      if (verify === undefined || access === undefined) return false;
      try {
        if (!(await records()?.put("tried", idOf(key, version), "1", triedMs))) return false;
        const outcome = await verify(access.token);
        const why = outcome.kind === "accepted" ? undefined : outcome.why;
        log.info(
          { event: "secret_tried", ...about(key), result: outcome.kind, why },
          "an API rejected a secret, which was tried again: its user is asked for another one if `result` is refused",
        );
        return outcome.kind === "refused";
      } catch (error) {
        log.warn(
          { event: "secret_not_tried", ...about(key), reason: messageOf(error) },
          "an API rejected a secret, which could not be tried: the API's answer goes to the client, and nothing is lost",
        );
        return false;
      }
    },
  };

  /** A token in the cache is not read again while all is well. The look keeps the store from dropping the secret. */
  async function note(key: GrantKey, version: string): Promise<void> {
    await store.read(key);
    const id = idOf(key, version);
    if (await records()?.put("using", id, "1", useNotedMs))
      await records()?.set("use", id, String(clock.wallMs()), useLifeMs);
  }
}

/** A later secret of the session has another version, and begins anew. */
function idOf({ session, upstream }: GrantKey, version: string): string {
  return `${session}:${upstream}:${version}`;
}

function about({ session, upstream }: GrantKey): { readonly upstream: string; readonly session: string } {
  return { upstream, session: shortHash(session) };
}
