import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { systemRandom } from "../../src/platform/random.ts";
import { hashSession } from "../../src/stores/grant.ts";
import { upstream } from "./requests.ts";
import { answerCalls } from "./worker-process.ts";

/** Messages such as a refresh publishes, sent evenly: each by itself, as those of separate refreshes come. */
export interface PublishCall {
  readonly port: number;
  readonly command: "PUBLISH" | "SPUBLISH";
  readonly channel: string;
  /** Messages a second. */
  readonly rate: number;
  readonly durationMs: number;
}

/** Subscribers that read and do nothing else, in place of replicas of which this machine could not run as many. */
export interface SinksCall {
  readonly port: number;
  readonly channel: string;
  /** So many there are from now on. */
  readonly sinks: number;
}

export interface Published {
  /** Messages that Redis has taken. */
  readonly messages: number;
  /** Subscribers that Redis had for each of them, summed up: fewer than there were where Redis has cut some off. */
  readonly deliveries: number;
  /** Until Redis had answered the last one. */
  readonly seconds: number;
}

/** Messages under way: more would mean that Redis does not keep up, and would only make the run longer. */
const mostUnderWay = 5_000;
/** Different messages: of sessions that no replica holds. */
const texts = 1_024;
/** Messages that are due together go in one write, up to so many. */
const mostAtOnce = 256;
/** A timer of a millisecond surely ends within so many. */
const coarseMs = 2;

const sinks: Socket[] = [];

answerCalls(async (call: PublishCall | SinksCall): Promise<Published | undefined> => {
  if ("command" in call) return publish(call);
  while (sinks.length < call.sinks) sinks.push(await subscribe(call));
  while (sinks.length > call.sinks) sinks.pop()?.destroy();
  return undefined;
});

async function publish({ port, command, channel, rate, durationMs }: PublishCall): Promise<Published> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  await once(socket, "connect");
  const commands = Array.from({ length: texts }, (_, at) => respOf(command, channel, changeText(at)));
  const total = Math.floor((rate * durationMs) / 1_000);
  const replies = countReplies(socket);
  const startedAt = performance.now();
  let sent = 0;
  try {
    while (replies.count < total) {
      const elapsedMs = performance.now() - startedAt;
      const dueByTime = Math.min(Math.floor((elapsedMs * rate) / 1_000), total);
      const due = Math.min(dueByTime, replies.count + mostUnderWay, sent + mostAtOnce);
      if (due > sent) {
        socket.cork();
        for (; sent < due; sent += 1) socket.write(commands[sent % texts] as Buffer);
        socket.uncork();
      }
      // Timers are too coarse for the last bit: what is due would leave in heaps.
      if (total > sent && ((sent + 1) * 1_000) / rate - elapsedMs > coarseMs) await sleep(1);
      else await nextTurn();
      if (replies.refusal !== undefined) throw new Error(`${command}: ${replies.refusal}`);
      if (socket.destroyed) throw new Error("the connection to Redis broke");
    }
    return { messages: total, deliveries: replies.sum, seconds: (performance.now() - startedAt) / 1_000 };
  } finally {
    socket.destroy();
  }
}

async function subscribe({ port, channel }: SinksCall): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port });
  socket.write(respOf("SUBSCRIBE", channel));
  await once(socket, "data");
  return socket.resume();
}

/** As `write` of src/stores/lua/write.lua publishes it. */
function changeText(at: number): string {
  return `${systemRandom().id()} bearerswap:{${hashSession("bench", String(at))}}:grant:${upstream}`;
}

function respOf(...words: readonly string[]): Buffer {
  return Buffer.from(`*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`);
}

interface Replies {
  count: number;
  /** Of what PUBLISH answers: how many get the message. */
  sum: number;
  refusal: string | undefined;
}

function countReplies(socket: Socket): Replies {
  const replies: Replies = { count: 0, sum: 0, refusal: undefined };
  let rest = "";
  socket.on("data", (chunk) => {
    const lines = (rest + chunk.toString("latin1")).split("\r\n");
    rest = lines.pop() ?? "";
    replies.refusal ??= lines.find((line) => !line.startsWith(":"));
    replies.count += lines.length;
    for (const line of lines) replies.sum += Number(line.slice(1));
  });
  return replies;
}
