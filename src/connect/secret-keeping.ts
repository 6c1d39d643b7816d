import type { ReplyCookie } from "../check/reply.ts";
import type { Secret } from "../platform/secret.ts";
import type { Provider } from "../providers/provider.ts";
import { auditOf, type GrantKey, shortHash } from "../stores/grant.ts";
import type { Login as PendingLogin, StoredLogin } from "../tokens/logins.ts";
import { secretWrite } from "../tokens/secret-write.ts";
import type { ConnectContext } from "./context.ts";
import { createGrantNaming } from "./grant-naming.ts";
import { keepSession } from "./kept-session.ts";
import type { BegunSession } from "./own-sessions.ts";
import { type FlowOwner, flowLifeMs } from "./states.ts";

/** Where a secret will be. */
export interface SecretPlace {
  readonly key: GrantKey;
  readonly owner: FlowOwner | undefined;
  /** Where a newcomer's session begins. */
  readonly begun: BegunSession | undefined;
  /** Knows what was there before the secret was tried: what came since then is newer. */
  readonly pending: PendingLogin;
}

/** Keeps secrets, as logins are kept. */
interface SecretKeeping {
  /** Looks at what the secret will replace. Throws what the store throws. */
  placeOf(owner: FlowOwner, upstream: string): Promise<SecretPlace>;
  /** The same for a newcomer, whose session begins with it; undefined where none can begin. */
  newPlace(upstream: string): Promise<SecretPlace | undefined>;
  /** Repeats the write until the store answers. */
  keep(place: SecretPlace, token: Secret, provider: Provider): Promise<StoredLogin["result"]>;
  /** The cookies that the browser needs with it. */
  cookiesOf(place: SecretPlace): readonly ReplyCookie[];
}

export function createSecretKeeping(context: ConnectContext): SecretKeeping {
  const { tokens, ownSessions, log, metrics } = context;
  const naming = createGrantNaming(context);

  return {
    async placeOf(owner, upstream) {
      const key = { session: owner.session, upstream };
      return { key, owner, begun: undefined, pending: await tokens.beginLogin(key) };
    },

    async newPlace(upstream) {
      const begun = await ownSessions?.begin(flowLifeMs);
      if (begun === undefined) return undefined;
      const key = { session: begun.session, upstream };
      return { key, owner: undefined, begun, pending: await tokens.beginLogin(key) };
    },

    async keep({ key, owner, begun, pending }, token, provider) {
      const { subject, source } = owner ?? {};
      const idleMs = provider.refreshTokenLifeMs;
      const named = { key, subject, source };
      await naming.name(named, idleMs);
      const { result } = await pending.store(secretWrite(token, { subject, idleMs }, context));
      if (result !== "stored") {
        metrics.login(key.upstream, result === "superseded" ? "superseded" : "failed");
        const uncertain = result === "unknown" ? auditOf(key, "user", subject) : {};
        const about = { upstream: key.upstream, session: shortHash(key.session) };
        log.error({ event: "connect_failed", ...about, ...uncertain, reason: result }, "the secret was not stored");
        return result;
      }
      naming.nameAgain(named, idleMs);
      if (begun !== undefined) await keepSession(begun, context);
      metrics.login(key.upstream, "connected");
      log.info({ event: "connected", ...auditOf(key, "user", subject), secret: true }, "a secret was entered");
      return result;
    },

    cookiesOf: ({ begun }) => (begun === undefined ? [] : [begun.cookie]),
  };
}
