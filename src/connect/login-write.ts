import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import type { Provider } from "../providers/provider.ts";
import type { TokenResponse } from "../providers/token-response.ts";
import type { Grant } from "../stores/grant.ts";
import type { GrantWrite } from "../stores/token-store.ts";
import { issuedAccess } from "../tokens/issued-access.ts";
import { issuedIdToken } from "../tokens/issued-id-token.ts";

interface LoginTokens extends Pick<Grant, "subject" | "client"> {
  readonly response: TokenResponse;
  /** What was asked for, where the answer stands for it if it names no scope. */
  readonly requested: string | undefined;
  /** When the code was sent, on the clock's monotonic time. */
  readonly sentAt: number;
}

/** What a login's tokens are stored as. */
export function loginWrite(
  { response, requested, sentAt, ...bound }: LoginTokens,
  provider: Pick<Provider, "accessTokenLifeMs" | "refreshTokenLifeMs" | "keepsIdToken">,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): GrantWrite {
  const now = clock.wallMs();
  const { refreshToken, refreshExpiresInMs, scope = requested, lifeMs } = response;
  return {
    version: random.id(),
    grant: {
      ...{ ...bound, refreshToken, scope, accessLifeMs: lifeMs, createdAt: now, refreshedAt: now },
      idToken: issuedIdToken(response, provider, now),
    },
    access: issuedAccess(response, clock.monotonicMs() - sentAt, provider.accessTokenLifeMs),
    life: { ms: refreshExpiresInMs ?? provider.refreshTokenLifeMs, stated: refreshExpiresInMs !== undefined },
  };
}
