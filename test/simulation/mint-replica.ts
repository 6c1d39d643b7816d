import { createEndedSessions, type EndedSessions } from "../../src/minted/ended-sessions.ts";
import type { MintKind } from "../../src/minted/kind.ts";
import { createMintCall } from "../../src/minted/mint-call.ts";
import { createMinter, type Minter } from "../../src/minted/minter.ts";
import type { MinterConfig } from "../../src/minted/minter-config.ts";
import { createRefusals } from "../../src/minted/refusals.ts";
import { createRejectionBounds } from "../../src/minted/rejection-bounds.ts";
import { sharedIdOf } from "../../src/minted/shared-records.ts";
import { createSharedTokens } from "../../src/minted/shared-tokens.ts";
import type { Clock } from "../../src/platform/clock.ts";
import type { Log } from "../../src/platform/log.ts";
import type { Random } from "../../src/platform/random.ts";
import type { TokenMint } from "../../src/providers/token-mint.ts";
import type { FlowStore } from "../../src/stores/flow-store.ts";
import { createMemoryFlowStore } from "../../src/stores/memory-flow-store.ts";
import type { Change } from "../../src/stores/token-store.ts";
import { createBreaker } from "../../src/tokens/breaker.ts";
import type { Coherence } from "../../src/tokens/coherence.ts";
import { noTokenMetrics } from "../support/no-metrics.ts";
import { managerConfig } from "../tokens/manager-config.ts";

const { timeoutMs, minRemainingMs, aheadMs } = managerConfig;

export const mintConfig: MinterConfig = {
  ...{ timeoutMs, minRemainingMs, aheadMs, cacheEntries: 100, lifeMs: 300_000 },
  ...{ maxStalenessMs: 5_000, maxOutageMs: 20_000 },
};

interface MintReplicaDeps {
  readonly upstream: string;
  readonly kind: MintKind;
  readonly mint: TokenMint;
  readonly flows: FlowStore;
  readonly announce: (change: Change) => Promise<void>;
  readonly config: MinterConfig;
  readonly coherence: Pick<Coherence, "isCurrent">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

interface MintReplica {
  readonly minter: Minter;
  readonly ended: EndedSessions;
}

/** One process's minter with all its parts, as configured-tokens.ts puts them together. */
export function createMintReplica({ mint, flows, announce, coherence, ...deps }: MintReplicaDeps): MintReplica {
  const { upstream, kind, clock, config } = deps;
  const { ofSessions } = kind;
  const scope = [upstream];
  const own = createMemoryFlowStore({ clock, maxRecords: 1_000 });
  const breaker = createBreaker({ ...deps, metrics: noTokenMetrics });
  const mints = { minted() {} };
  const ended = createEndedSessions({ flows, coherence, clock });
  const minter = createMinter({
    ...{ ...deps, scope, metrics: { tokens: noTokenMetrics, mints } },
    call: createMintCall({
      ...{ ...deps, mint, breaker, refusals: createRefusals(clock), metrics: mints },
      ...{ maxConcurrency: 4, patienceMs: config.timeoutMs, consentUrl: undefined },
    }),
    ended,
    shared: createSharedTokens({
      ...{ ...deps, flows, patienceMs: config.timeoutMs / 2 },
      announce: (id) => announce({ session: id, upstream, version: "minted" }),
    }),
    bounds: createRejectionBounds({ flows, scope, ofSessions }),
    ownBounds: createRejectionBounds({ flows: own, scope, ofSessions }),
    announce: (version) => announce({ session: sharedIdOf(version), upstream, version, isRejected: true }),
  });
  return { minter, ended };
}
