/** How a presentation ended, as the one who presented it learned: `pending` as long as he has not. */
export type Ending = "pending" | "tokens" | "refused" | "unused" | "unknown";

/** One sending of a refresh token. */
export interface Presentation {
  readonly number: number;
  readonly by: string;
  readonly session: string;
  readonly token: string;
  /** The attempt whose lease it was sent under. */
  readonly attempt: string | undefined;
  /** When the first attempt on this token had the lease. */
  readonly firstAttemptAt: number;
  /** When the process looked last, and when it sent: apart where it froze in between. */
  readonly checkedAt: number;
  readonly sentAt: number;
  /** When an answer, or the end of the connection, came in at the machine. */
  wireEndAt: number;
  ending: Ending;
  endedAt: number;
  /** The provider refused it, whatever became of the answer. */
  refusedAt: number | undefined;
  /** The refresh token that came of it, where the process learned of one. */
  successor: string | undefined;
}

/** All presentations there were. */
export interface Ledger {
  begin(
    sending: Pick<Presentation, "by" | "session" | "token" | "attempt" | "firstAttemptAt" | "checkedAt" | "sentAt">,
  ): Presentation;
  all(): readonly Presentation[];
  of(token: string): readonly Presentation[];
}

export function createLedger(onBegin: (presentation: Presentation, earlier: readonly Presentation[]) => void): Ledger {
  const all: Presentation[] = [];
  const byToken = new Map<string, Presentation[]>();
  return {
    begin(sending) {
      const presentation: Presentation = {
        ...sending,
        number: all.length + 1,
        wireEndAt: Number.POSITIVE_INFINITY,
        ending: "pending",
        endedAt: Number.POSITIVE_INFINITY,
        refusedAt: undefined,
        successor: undefined,
      };
      const earlier = byToken.get(sending.token) ?? [];
      onBegin(presentation, earlier);
      all.push(presentation);
      byToken.set(sending.token, [...earlier, presentation]);
      return presentation;
    },
    all: () => all,
    of: (token) => byToken.get(token) ?? [],
  };
}
