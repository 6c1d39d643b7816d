import { digestOf } from "../platform/digest.ts";
import type { Random } from "../platform/random.ts";
import type { FlowStore } from "../stores/flow-store.ts";

/** What an issuer calls the user and its session with them. */
interface Names {
  readonly sub?: string | undefined;
  readonly sid?: string | undefined;
}

/** The marks under which a login stands, by the ids of their records. */
type Marks = Readonly<Record<string, string>>;

/**
 * Whether issuers still vouch for logins on our pages. A login takes a random mark for the user, and one for the
 * issuer's own session where that is known. A logout takes the marks away, and a later login finds others. So it does
 * not matter whose clock is right, or which replica is told.
 *
 * The marks are the issuer's, not a source's: who has logged out there has logged out for each source of that issuer.
 */
export interface IssuerSessions {
  /** The marks for a login of that user, kept for `lifeMs` at least. Undefined if the issuer has ended that session. */
  marksOf(issuer: string, names: Names, lifeMs: number): Promise<Marks | undefined>;
  /** Whether the issuer has ended nothing since these marks were taken. */
  areStanding(marks: Marks): Promise<boolean>;
  /** Ends all logins of the user, and all of the issuer's session, on every replica. */
  end(issuer: string, names: Names): Promise<void>;
}

interface IssuerSessionsDeps {
  readonly flows: FlowStore;
  readonly random: Random;
  /** How long a session that has ended is remembered: a login that is on its way must not begin with it. */
  readonly endedLifeMs: number;
}

const ended = "ended";

export function createIssuerSessions({ flows, random, endedLifeMs }: IssuerSessionsDeps): IssuerSessions {
  return {
    async marksOf(issuer, names, lifeMs) {
      const ids = idsOf(issuer, names);
      const marks = await Promise.all(ids.map((id) => markOf(id, lifeMs)));
      if (marks.some((mark) => mark === undefined || mark === ended)) return undefined;
      return Object.fromEntries(ids.map((id, at) => [id, marks[at] ?? ""]));
    },

    async areStanding(marks) {
      const standing = await Promise.all(
        Object.entries(marks).map(async ([id, mark]) => (await flows.read("mark", id)) === mark),
      );
      return standing.every(Boolean);
    },

    async end(issuer, { sub, sid }) {
      const user = idsOf(issuer, { sub });
      const session = idsOf(issuer, { sid });
      await Promise.all([...user.map((id) => flows.take("mark", id)), ...session.map(close)]);
    },
  };

  /**
   * Takes a mark away for good: an issuer never uses a `sid` again, while a user may log in anew at once. A login that is
   * on its way may put its own mark in between, and would stand although its session has ended: that is taken as well.
   */
  async function close(id: string): Promise<void> {
    do await flows.take("mark", id);
    while (!(await flows.put("mark", id, ended, endedLifeMs)));
  }

  /** Undefined if a logout took it away at this very moment. */
  async function markOf(id: string, lifeMs: number): Promise<string | undefined> {
    const own = random.id();
    return (await flows.put("mark", id, own, lifeMs)) ? own : flows.read("mark", id, lifeMs);
  }
}

function idsOf(issuer: string, { sub, sid }: Names): string[] {
  return [
    ...(sub === undefined ? [] : [digestOf(issuer, "sub", sub)]),
    ...(sid === undefined ? [] : [digestOf(issuer, "sid", sid)]),
  ];
}
