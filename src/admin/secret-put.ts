import type { EnteredSecret } from "../gen/bearerswap/grants/v1/grants.ts";
import type { Clock } from "../platform/clock.ts";
import { BearerswapError } from "../platform/error.ts";
import type { Random } from "../platform/random.ts";
import type { SecretEntry } from "../providers/provider.ts";
import { enteredFrom } from "../providers/secret-text.ts";
import type { GrantWrite } from "../stores/token-store.ts";
import { secretWrite } from "../tokens/secret-write.ts";

interface Secrets {
  readonly refreshTokenLifeMs: number;
  readonly secret?: SecretEntry | undefined;
}

/**
 * What a secret that an operator puts is stored as, after it was tried.
 * @throws BearerswapError `input`; the message quotes nothing of the secret
 */
export async function enteredWrite(
  { text, untried }: EnteredSecret,
  { upstream, subject }: { readonly upstream: string; readonly subject: string },
  { secret: entry, refreshTokenLifeMs }: Secrets,
  deps: { readonly clock: Clock; readonly random: Random },
): Promise<GrantWrite> {
  if (entry === undefined)
    throw new BearerswapError(
      "input",
      `upstream "${upstream}" has no secrets: put the token response of a login, without --secret`,
    );
  const hasUser = entry.user !== undefined;
  if (hasUser && !text.includes(":"))
    throw new BearerswapError("input", `upstream "${upstream}" wants user and password: write them as user:password`);
  const read = entry.read(enteredFrom(text, hasUser));
  if (read.kind === "problem") throw new BearerswapError("input", `the secret cannot be used: ${read.why}`);
  const outcome = untried ? undefined : await entry.verify?.(read.token);
  if (outcome?.kind === "refused")
    throw new BearerswapError("input", `the API refuses the secret (${outcome.why}): nothing was stored`);
  if (outcome?.kind === "unavailable")
    throw new BearerswapError(
      "input",
      `the secret could not be tried (${outcome.why}): nothing was stored; put it again later, or without a trial (--no-verify)`,
    );
  const idleMs = refreshTokenLifeMs;
  return secretWrite(read.token, { subject: subject === "" ? undefined : subject, idleMs }, deps);
}
