import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import type { Secret } from "../platform/secret.ts";
import type { GrantWrite } from "../stores/token-store.ts";

interface SecretWriteDeps {
  readonly clock: Pick<Clock, "wallMs">;
  readonly random: Random;
}

/** What a secret is stored as: a grant without a refresh token, whose access token has no end. Each use renews its life. */
export function secretWrite(
  token: Secret,
  { subject, idleMs }: { readonly subject: string | undefined; readonly idleMs: number },
  { clock, random }: SecretWriteDeps,
): GrantWrite {
  const now = clock.wallMs();
  return {
    version: random.id(),
    grant: { isSecret: true, subject, createdAt: now, refreshedAt: now },
    access: { token },
    life: { ms: idleMs, stated: false },
  };
}
