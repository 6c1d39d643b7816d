import { createDailyKeys, type DailyKey } from "../stores/daily-keys.ts";
import { createSealer, type Sealer } from "../stores/sealing.ts";

/** Seals logins under way in their browsers, with keys that all replicas share. */
interface FlowKeys {
  /** Seals with today's key. It asks the store each time, so that a login begins only while that answers. */
  current(): Promise<Sealer>;
  /** Opens what the key of that id sealed; undefined where the id is not that of a key in use. */
  named(id: string): Promise<Sealer | undefined>;
}

export function createFlowKeys(deps: Parameters<typeof createDailyKeys>[0]): FlowKeys {
  const keys = createDailyKeys(deps);
  return {
    current: async () => sealerOf(await keys.current()),
    async named(id) {
      const found = await keys.named(id);
      return found && sealerOf(found);
    },
  };
}

function sealerOf({ id, key }: DailyKey): Sealer {
  return createSealer({ keys: [{ id, key }], allowPlain: false });
}
