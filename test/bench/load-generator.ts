import { setImmediate as nextTurn } from "node:timers/promises";
import {
  type Header,
  indexedHeaders,
  plainHeader,
  type RequestFrames,
  requestFrames,
  tableHeaders,
} from "./h2-frames.ts";
import { type Expectation, type LoadConnection, openLoadConnection } from "./load-connection.ts";

/** A server under load, and the requests it gets in turn. */
export interface LoadTarget {
  readonly host: string;
  readonly port: number;
  readonly expect: Expectation;
  readonly connections: number;
  /** Requests under way at any time, on all connections together. */
  readonly inFlight: number;
  /** The same in every request. */
  readonly headers: readonly Header[];
  readonly requests: readonly LoadRequest[];
}

/** What one request has of its own. */
export interface LoadRequest {
  readonly header?: Header;
  readonly body?: Buffer;
}

/** How long to send: for a time, so many requests, or each request once. */
export type LoadLength = { readonly durationMs: number } | { readonly requests: number } | "each once";

export interface LoadResult {
  /** Answers within the time. */
  readonly answers: number;
  /** Answers other than the expected one. */
  readonly failures: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The part of one core that this process used. */
  readonly cpuShare: number;
}

/** What was measured, answer by answer. */
export interface LoadSample extends Pick<LoadResult, "failures" | "seconds"> {
  readonly latencies: readonly number[];
}

/** Keeps `inFlight` requests under way; connections stay open from run to run. */
export interface LoadGenerator {
  run(length: LoadLength): Promise<LoadSample>;
  close(): void;
}

/** So many requests are sent at once where many begin. */
const batch = 128;

export async function createLoadGenerator(target: LoadTarget): Promise<LoadGenerator> {
  const constant = indexedHeaders(target.headers);
  const frames = target.requests.map((request) => framesOf(constant, request));
  let broken = (_why: string) => {};
  const open = () => openLoadConnection({ ...target, onBroken: (why) => broken(why) });
  const connections = await Promise.all(Array.from({ length: target.connections }, open));
  let at = 0;
  let primed = false;

  async function run(length: LoadLength): Promise<LoadSample> {
    if (!primed) await prime();
    const latencies: number[] = [];
    let failures = 0;
    let left = numberOf(length);
    let underWay = 0;
    const startedAt = performance.now();
    const endsAt =
      length !== "each once" && "durationMs" in length ? startedAt + length.durationMs : Number.POSITIVE_INFINITY;
    let lastAt = startedAt;

    await new Promise<void>((resolve, reject) => {
      broken = (why) => reject(new Error(`the connection to ${target.host}:${target.port} broke: ${why}`));
      const sendOn = (connection: LoadConnection): void => {
        const sentAt = performance.now();
        if (left <= 0 || sentAt >= endsAt) {
          if (underWay === 0) resolve();
          return;
        }
        left -= 1;
        underWay += 1;
        connection.send(next(), (accepted) => {
          const now = performance.now();
          underWay -= 1;
          if (!accepted) failures += 1;
          if (now <= endsAt) {
            latencies.push(now - sentAt);
            lastAt = now;
          }
          sendOn(connection);
        });
      };
      void begin(sendOn);
    });
    return { latencies, failures, seconds: ((Number.isFinite(endsAt) ? endsAt : lastAt) - startedAt) / 1_000 };
  }

  /**
   * In batches, so that the first requests do not wait until the last ones are encoded, nor answers until all are sent.
   */
  async function begin(sendOn: (connection: LoadConnection) => void): Promise<void> {
    for (let started = 0; started < target.inFlight; started += 1) {
      sendOn(connections[started % connections.length] as LoadConnection);
      if ((started + 1) % batch !== 0) continue;
      for (const connection of connections) connection.flush();
      await nextTurn();
    }
    for (const connection of connections) connection.flush();
  }

  /** The first request of each connection brings the constant headers into the server's table. */
  async function prime(): Promise<void> {
    primed = true;
    const first = framesOf(tableHeaders(target.headers), target.requests[0] ?? {});
    const answered = connections.map(
      (connection) =>
        new Promise<void>((resolve, reject) => {
          broken = (why) => reject(new Error(`the connection to ${target.host}:${target.port} broke: ${why}`));
          connection.send(first, () => resolve());
          connection.flush();
        }),
    );
    await Promise.all(answered);
  }

  function numberOf(length: LoadLength): number {
    if (length === "each once") return frames.length;
    return "requests" in length ? length.requests : Number.POSITIVE_INFINITY;
  }

  function next(): RequestFrames {
    at = (at + 1) % frames.length;
    return frames[at] as RequestFrames;
  }

  return {
    run,
    close() {
      for (const connection of connections) connection.close();
    },
  };
}

function framesOf(constant: Buffer, { header, body }: LoadRequest): RequestFrames {
  return requestFrames(header === undefined ? constant : Buffer.concat([constant, plainHeader(header)]), body);
}

/** Runs generators at the same time, and sums up over all of their answers. */
export async function runTogether(generators: readonly LoadGenerator[], length: LoadLength): Promise<LoadResult> {
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  const samples = await Promise.all(generators.map((generator) => generator.run(length)));
  const cpu = process.cpuUsage(cpuBefore);
  const latencies = samples.flatMap((sample) => sample.latencies);
  return {
    answers: latencies.length,
    failures: samples.reduce((sum, { failures }) => sum + failures, 0),
    seconds: Math.max(...samples.map(({ seconds }) => seconds)),
    ...percentiles(latencies),
    cpuShare: (cpu.user + cpu.system) / 1e3 / (performance.now() - startedAt),
  };
}

function percentiles(latencies: number[]): { p50Ms: number; p99Ms: number } {
  const sorted = Float64Array.from(latencies).sort();
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}
