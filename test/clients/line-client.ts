import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** A program of test/clients that does what it is told line by line, and answers in lines of JSON. */
export interface LineClient {
  /** What its user sees. */
  tell(command: "connect" | "call"): Promise<string>;
  stop(): Promise<void>;
}

/** @param open opens a page that the program asks its user to open */
export async function startLineClient(
  command: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
  open: (url: string) => Promise<unknown>,
): Promise<LineClient> {
  const [file, ...args] = command;
  const child = spawn(file, args, { env: { ...process.env, ...env } });
  const exited = once(child, "exit");
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  let printed = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => void (printed += chunk));
  return {
    async tell(word) {
      child.stdin.write(`${word}\n`);
      for (;;) {
        const { value, done } = await lines.next();
        if (done) throw new Error(`${args.join(" ")} ended:\n${printed}`);
        const answer = JSON.parse(value) as { readonly shown: string } | { readonly open: string };
        if ("shown" in answer) return answer.shown;
        await open(answer.open);
        child.stdin.write("opened\n");
      }
    },
    async stop() {
      child.stdin.end();
      child.kill();
      await exited;
    },
  };
}
