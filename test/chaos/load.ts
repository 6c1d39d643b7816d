import { expect } from "vitest";
import { httpRequest } from "../support/check-request.ts";
import { answerOf } from "../support/scenario.ts";
import { until } from "../support/until.ts";
import type { Replica } from "./fleet.ts";

/** One Check and its answer. */
export interface CheckRecord {
  readonly replica: string;
  readonly session: string;
  /** HTTP's status in the verdict; 0 where the replica gave none, as it is gone. */
  readonly status: number;
  readonly reason?: string | undefined;
  readonly retryAfter?: string | undefined;
  /** What was injected. */
  readonly token?: string | undefined;
}

/** Checks of all sessions at all replicas, as steady as the machine allows. */
export interface Load {
  /** Answers so far, in the order of their arrival. */
  readonly records: readonly CheckRecord[];
  /**
   * Waits until each of its sessions was let through at each of these replicas with a token that was not seen before.
   */
  renewed(replicas: readonly Replica[]): Promise<void>;
  /** Waits for one more answer with this status. */
  answered(status: number): Promise<CheckRecord>;
  /** Ends the load; resolves when the last answer is there. */
  stop(): Promise<void>;
}

/**
 * Each replica gets a Check this often, ms, for each session in its turn, whether it has answered the last one or not.
 */
const everyMs = 20;

export function startLoad(replicas: readonly Replica[], sessions: readonly string[]): Load {
  const records: CheckRecord[] = [];
  const underWay = new Set<Promise<void>>();
  let turn = 0;
  const timer = setInterval(() => {
    const session = sessions[turn++ % sessions.length] as string;
    for (const replica of replicas) {
      const answered = checkOnce(replica, session).then((record) => void records.push(record));
      underWay.add(answered);
      void answered.then(() => underWay.delete(answered));
    }
  }, everyMs);

  return {
    records,
    async renewed(at) {
      const from = records.length;
      const old = new Set(records.map(({ token }) => token));
      const pairs = sessions.flatMap((session) => at.map(({ name }) => ({ session, name })));
      const isRenewed = ({ session, name }: { session: string; name: string }) =>
        records
          .slice(from)
          .some(
            (record) =>
              record.status === 200 && !old.has(record.token) && record.session === session && record.replica === name,
          );
      await until("a new token for every session everywhere", () => pairs.every(isRenewed), patience);
    },
    answered: (status) => {
      const from = records.length;
      return until(`a ${status}`, () => records.slice(from).find((record) => record.status === status), patience);
    },
    async stop() {
      clearInterval(timer);
      while (underWay.size > 0) await Promise.all(underWay);
    },
  };
}

const patience = { timeoutMs: 40_000 };

/** One Check now. */
export async function checkOnce(
  { name, client }: Pick<Replica, "name" | "client">,
  session: string,
): Promise<CheckRecord> {
  const request = httpRequest({ headers: { "x-session": session }, contextExtensions: { upstream: "crm" } });
  try {
    const { status, headers, body } = answerOf(await client.check(request));
    return {
      replica: name,
      session,
      status,
      reason: body.reason,
      retryAfter: headers["retry-after"],
      token: headers.authorization,
    };
  } catch {
    return { replica: name, session, status: 0 };
  }
}

/** Who may have gone without an answer, and who was told to log in. */
export interface Casualties {
  readonly replica?: Replica;
  readonly session?: string;
}

/** Fails unless every answer let the request through, or sent it back for a moment and said for how long. */
export function expectAlive(records: readonly CheckRecord[], casualties: Casualties = {}): void {
  const expected = ({ replica, session, status, reason, retryAfter }: CheckRecord) => {
    if (status === 0) return replica === casualties.replica?.name;
    if (status === 401) return session === casualties.session && reason === "grant_refused";
    return status === 200 || (status === 503 && Number(retryAfter) >= 1);
  };
  expect(records.length).toBeGreaterThan(0);
  expect(records.filter((record) => !expected(record))).toEqual([]);
}
