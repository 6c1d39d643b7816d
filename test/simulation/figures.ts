import type { Figure } from "./judge.ts";
import type { MintFigure } from "./mint-rules.ts";

/** What a rule found, of whichever simulation. */
interface Found {
  readonly at: number;
  readonly rule: string;
  readonly text: string;
}

/** What many histories come to. */
export interface Tally {
  seeds: number;
  readonly figures: Map<string, number>;
  readonly failing: { readonly seed: number; readonly violations: readonly Found[] }[];
}

export function createTally(): Tally {
  return { seeds: 0, figures: new Map(), failing: [] };
}

export function addTo(
  tally: Tally,
  outcome: {
    readonly seed: number;
    readonly violations: readonly Found[];
    readonly figures: ReadonlyMap<string, number>;
  },
): void {
  tally.seeds++;
  for (const [figure, value] of outcome.figures) tally.figures.set(figure, (tally.figures.get(figure) ?? 0) + value);
  if (outcome.violations.length > 0) tally.failing.push({ seed: outcome.seed, violations: outcome.violations });
}

/** What each figure counts. */
const meanings: Readonly<Record<Figure, string>> = {
  answers: "requests answered",
  fresh: "  with a token",
  missing: "  with 401: no login, or revoked",
  refused: "  with 401: the provider refused",
  unavailable: "  with 503",
  crashes: "processes that crashed",
  presentations: "refresh tokens presented",
  presentedAgain: "  not for the first time",
  unknownEndings: "  whose ending the one who presented it never learned",
  silentHolders: "  again, after an earlier holder had been silent for its lease and the hold-off",
  frozenDispatches: "  by a process that froze between its last check and the sending",
  frozenOverlaps: "    while another presentation of the same token was under way",
  gracefulOverlaps: "  beside a call that hung and was given up, inside the provider's grace",
  overtaken: "  while a successor, written after the last look, was on its way to the one who presented",
  failoversWithLoss: "failovers that lost acknowledged writes",
  writtenBack: "  versions that a live process wrote back",
  leasesLost: "  presentations again, as the lease of an earlier one, or its tokens, got lost with its holder",
  lostUnheld: "  presentations of a token whose successor was lost and which no live process held",
  lostUnlinked: "  the same, held by a process that did not know that it came after what the store had",
  loginsLost: "  logins that were lost for good",
  loginsOvertaken:
    "  refreshes of a login that was brought back, written over a later login that nobody knew to be later",
  endsWrittenBack: "  ends of sessions that a live process wrote back",
  revocationsLost: "  sessions that came back, as the store lost their end and nobody could write it back in time",
  missingByLoss: "  requests answered with 401 after such a loss",
  expiredByLateWrite: "tokens served beyond their end, by as much as their write was late in reaching the store",
  rejections: "answers 401 of the API to a token that had not expired",
  healed: "  after which the request was sent again with another token",
  endedByReuse:
    "refusals of a token that came again after its rotation, as the answer had gone with a crash, a connection or the store",
};

/** The same, of minted tokens. */
export const mintMeanings: Readonly<Record<MintFigure, string>> = {
  answers: "requests answered, retries after a 401 included",
  fresh: "  with a token",
  refused: "  with 401: the session or its own token has ended, or the provider refused",
  unavailable: "  with 503",
  calls: "calls to the provider",
  crashes: "processes that crashed",
  failovers: "failovers that lost what was written last",
  sessionsEnded: "sessions that ended before their own tokens",
  rejections: "answers 401 of the API to a token that had not expired",
  believed: "  tokens that were replaced for that",
  holds: "  tokens that stayed, as the one before had been rejected too",
  healed: "  retries with another token",
};

/** The figures, a line each, with what they mean. */
export function tableOf(tally: Tally, figures: Readonly<Record<string, string>> = meanings): string {
  const rows = Object.entries(figures).map(
    ([figure, meaning]) => [String(tally.figures.get(figure) ?? 0), meaning] as const,
  );
  const all = [
    [String(tally.seeds), "seeds"],
    ...rows,
    [String(tally.failing.length), "seeds with a violation"],
  ] as const;
  return all.map(([value, meaning]) => `${value.padStart(9)}  ${meaning}`).join("\n");
}
