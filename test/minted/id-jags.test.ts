import { UnsecuredJWT } from "jose";
import { expect, test } from "vitest";
import { createIdJags } from "../../src/minted/id-jags.ts";
import type { Random } from "../../src/platform/random.ts";
import { Secret } from "../../src/platform/secret.ts";
import { manualClock } from "../support/manual-clock.ts";

test.each([{ iat: 1, exp: "soon" }, { iat: 10, exp: 1 }, { iat: 1, exp: 1e300 }, { exp: 100 }])(
  "an ID-JAG whose life cannot be meant, %j, is kept for a minute, as stores take it",
  async (times) => {
    const clock = manualClock();
    const endings: unknown[] = [];
    const token = new Secret(new UnsecuredJWT(times as object as Record<string, number>).encode());
    const jags = createIdJags({
      call: Object.assign(
        async () => ({ kind: "tokens" as const, tokens: { accessToken: token }, sentAt: clock.monotonicMs() }),
        { hindranceOf: () => undefined, breakerMs: () => 0 },
      ),
      shared: {
        findOrTakeTurn: async () => ({
          kind: "turn",
          after: undefined,
          isSuccessor: false,
          end: async (ending) => void endings.push(ending),
        }),
      },
      ...{ scope: [], cacheEntries: 10, clock, random: { id: () => "v1" } as Random },
    });
    expect(await jags.find({ id: "ann" })).toMatchObject({ kind: "found", isNew: true });
    expect(endings).toMatchObject([{ kind: "tokens", token: { lifeMs: 60_000 } }]);
    expect(await jags.find({ id: "ann" })).toMatchObject({ isNew: false });
  },
);
