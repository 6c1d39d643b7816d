import type { Log } from "../platform/log.ts";
import type { Secret } from "../platform/secret.ts";
import type { Provider } from "../providers/provider.ts";
import type { TokenResponse } from "../providers/token-response.ts";
import type { TokenMetrics } from "./metrics.ts";

/**
 * What is known of one upstream's rotation of refresh tokens: from the configuration, and from what this process has
 * seen in the provider's answers.
 */
export interface Rotation {
  /**
   * The configuration says that the provider never rotates, and no answer has shown the contrary: presenting a refresh
   * token changes nothing, however it ends.
   */
  isNever(): boolean;
  /**
   * The last answer left the presented token in place. The next one may not: this may shorten a back-off, and must
   * never allow a second presentation.
   */
  wasKept(): boolean;
  /** An answer with tokens came for the presented refresh token. */
  saw(presented: Secret | undefined, tokens: TokenResponse): void;
}

export interface RotationDeps {
  readonly upstream: string;
  readonly provider: Provider;
  readonly log: Log;
  readonly metrics: TokenMetrics;
}

export function createRotation({ upstream, provider, log, metrics }: RotationDeps): Rotation {
  let kept = false;
  let contradicted = false;
  return {
    isNever: () => provider.neverRotates === true && !contradicted,
    wasKept: () => kept,
    saw(presented, { refreshToken }) {
      kept = refreshToken === undefined || refreshToken.reveal() === presented?.reveal();
      if (kept || provider.neverRotates !== true) return;
      metrics.count("unexpected_rotation", upstream);
      if (contradicted) return;
      contradicted = true;
      log.error(
        { event: "rotation", upstream },
        "the provider answered with another refresh token although its upstream says `rotates: never`: remove that. " +
          "From here on this process treats its refresh tokens as good for one use",
      );
    },
  };
}
