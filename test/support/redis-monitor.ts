import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";

/** A command as MONITOR shows it. */
export interface SeenCommand {
  /** In lower case. */
  readonly name: string;
  /** As MONITOR quotes them: `"`, `\` and what is no printable ASCII are escaped. */
  readonly args: readonly string[];
  /** Run by a script inside the server, and so no round trip. */
  readonly isInScript: boolean;
}

/**
 * What a Redis without a password runs while `work` does, in its order. Not by ioredis' own `monitor()`: where a command
 * of others comes in the same piece as the answer to MONITOR, ioredis takes it for an answer, and throws.
 */
export async function commandsDuring(url: string, work: () => Promise<unknown>): Promise<readonly SeenCommand[]> {
  const { hostname, port } = new URL(url);
  const sockets: Socket[] = [];
  const open = () => {
    const socket = connect(Number(port), hostname);
    sockets.push(socket);
    return socket;
  };
  // A monitor hears of commands in their order: with this one it has heard of all before.
  const last = `end-${crypto.randomUUID()}`;
  const ended = Promise.withResolvers<void>();
  const seen: SeenCommand[] = [];
  try {
    const monitor = open();
    monitor.on("error", ended.reject);
    const lines = createInterface(monitor);
    monitor.write("MONITOR\r\n");
    await once(lines, "line");
    lines.on("line", (line) => {
      const command = parse(line);
      if (command?.args[0] === last) ended.resolve();
      else if (command !== undefined) seen.push(command);
    });
    await work();
    open().write(`ECHO ${last}\r\n`);
    await ended.promise;
    return seen;
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

/** +1795905236.560533 [0 127.0.0.1:50252] "evalsha" "…" "1" "bearerswap:{…}…" */
function parse(line: string): SeenCommand | undefined {
  const [head, source] = /^\+[\d.]+ \[\d+ (\S+)\] /.exec(line) ?? [];
  if (head === undefined) return undefined;
  const [name = "", ...args] = [...line.slice(head.length).matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(
    ([, text = ""]) => text,
  );
  return { name: name.toLowerCase(), args, isInScript: source === "lua" };
}
