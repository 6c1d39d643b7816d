import type { LoadLength, LoadResult, LoadTarget } from "./load-generator.ts";
import type { LoadCall } from "./load-worker.ts";
import { startWorker } from "./worker-process.ts";

/** The generator in a process of its own. Calls wait for each other. */
export interface LoadProcess {
  /** Connects to a server and encodes its requests. */
  open(name: string, target: LoadTarget): Promise<void>;
  /** @throws where an answer is not the expected one */
  run(name: string, length: LoadLength): Promise<LoadResult>;
  /** Loads several servers at the same time; answers other than the expected one are counted. */
  runTogether(names: readonly string[], length: LoadLength): Promise<LoadResult>;
  close(name: string): Promise<void>;
  stop(): Promise<void>;
}

export function startLoad(): LoadProcess {
  const worker = startWorker<LoadCall, LoadResult | undefined>("load-worker.ts");
  const runTogether = async (names: readonly string[], length: LoadLength) =>
    (await worker.ask({ run: names, length })) as LoadResult;

  return {
    async open(name, target) {
      await worker.ask({ open: name, target });
    },
    runTogether,
    async run(name, length) {
      const result = await runTogether([name], length);
      if (result.failures > 0)
        throw new Error(`${name}: ${result.failures} answers beside ${result.answers} were not the expected one`);
      return result;
    },
    async close(name) {
      await worker.ask({ close: name });
    },
    stop: worker.stop,
  };
}
