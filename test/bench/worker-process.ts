import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/** Answered one by one, in the order of the calls. */
export type WorkerAnswer<Result> = { readonly result: Result } | { readonly error: string };

/** A part of the bench in a process of its own. Calls wait for each other. */
export interface WorkerProcess<Call, Result> {
  /** @throws where the worker fails, or has ended */
  ask(call: Call): Promise<Result>;
  stop(): Promise<void>;
}

/** @param file of this folder, which calls {@link answerCalls} */
export function startWorker<Call, Result>(file: string): WorkerProcess<Call, Result> {
  const child = fork(join(import.meta.dirname, file), { serialization: "advanced" });
  let last: Promise<unknown> = Promise.resolve();
  return {
    ask(call) {
      const answered = last.then(() => exchange<Result>(child, file, call));
      last = answered.catch(() => undefined);
      return answered;
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill();
      await exited;
    },
  };
}

/** The worker's side: answers each call of the parent process, and ends with it. */
export function answerCalls<Call, Result>(answer: (call: Call) => Promise<Result>): void {
  process.on("message", (call: Call) => {
    answer(call).then(
      (result) => process.send?.({ result }),
      (error: unknown) => process.send?.({ error: String(error) }),
    );
  });
  process.on("disconnect", () => process.exit());
}

async function exchange<Result>(child: ChildProcess, file: string, call: unknown): Promise<Result> {
  const abort = new AbortController();
  const ended = once(child, "exit", abort).then((): WorkerAnswer<Result> => ({ error: `${file} ended` }));
  const answered = once(child, "message", abort).then(([answer]) => answer as WorkerAnswer<Result>);
  for (const outcome of [ended, answered]) outcome.catch(() => undefined); // one of them is aborted
  child.send(call as object);
  const answer = await Promise.race([answered, ended]);
  abort.abort();
  if ("error" in answer) throw new Error(answer.error);
  return answer.result;
}
