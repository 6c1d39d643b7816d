import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { LoadLength, LoadResult, LoadTarget } from "./load-generator.ts";
import type { WorkerAnswer, WorkerCall } from "./load-worker.ts";

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
  const child = fork(join(import.meta.dirname, "load-worker.ts"), { serialization: "advanced" });
  let last: Promise<unknown> = Promise.resolve();
  const ask = (call: WorkerCall): Promise<LoadResult | undefined> => {
    const answered = last.then(() => exchange(child, call));
    last = answered.catch(() => undefined);
    return answered;
  };

  const runTogether = async (names: readonly string[], length: LoadLength) =>
    (await ask({ run: names, length })) as LoadResult;

  return {
    async open(name, target) {
      await ask({ open: name, target });
    },
    runTogether,
    async run(name, length) {
      const result = await runTogether([name], length);
      if (result.failures > 0)
        throw new Error(`${name}: ${result.failures} answers beside ${result.answers} were not the expected one`);
      return result;
    },
    async close(name) {
      await ask({ close: name });
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill();
      await exited;
    },
  };
}

async function exchange(child: ChildProcess, call: WorkerCall): Promise<LoadResult | undefined> {
  const abort = new AbortController();
  const ended = once(child, "exit", abort).then((): WorkerAnswer => ({ error: "the load generator ended" }));
  const answered = once(child, "message", abort).then(([answer]) => answer as WorkerAnswer);
  for (const outcome of [ended, answered]) outcome.catch(() => undefined); // one of them is aborted
  child.send(call);
  const answer = await Promise.race([answered, ended]);
  abort.abort();
  if ("error" in answer) throw new Error(answer.error);
  return answer.result;
}
