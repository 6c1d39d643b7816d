import { BearerswapError } from "../platform/error.ts";
import { adviceOn, notConnected, type ProblemLog, reasonOf } from "./redis-problems.ts";

/**
 * The most commands under way. More would mean that Redis does not keep up, and a longer queue would make it worse.
 */
const mostUnderWay = 10_000;

/** Errors of scripts about the row itself: a key of another type, a field that is no number. */
const rowProblem = /^(?:WRONGTYPE|ERR user_script:\d+:)/;

/** Runs a command; `key` is the row that it is about. */
type Guard = <T>(command: () => Promise<T>, key?: string) => Promise<T>;

/** Lets commands wait for the first attempt to connect, bounds their number, and turns failures into our errors. */
export function createGuard(attempted: Promise<void>, problems: ProblemLog): Guard {
  let underWay = 0;
  return async function guarded(command, key) {
    if (underWay >= mostUnderWay)
      throw new BearerswapError("store_unavailable", `Redis: ${mostUnderWay} commands are under way already`);
    underWay++;
    try {
      await attempted;
      return await command();
    } catch (error) {
      throw failureOf(error, key, problems);
    } finally {
      underWay--;
    }
  };
}

/** The error has no cause: ioredis's errors hold the command's arguments, and those hold tokens. */
function failureOf(error: unknown, key: string | undefined, problems: ProblemLog): BearerswapError {
  const reason = reasonOf(error);
  if (key !== undefined && rowProblem.test(reason))
    return new BearerswapError(
      "store_corrupt",
      `${key} holds no grant that can be read; it was left as it is: look at it and delete it (Redis: ${reason})`,
    );
  const advice = adviceOn(reason);
  if (advice !== undefined) problems.note(error);
  const more = reason === notConnected ? problems.current() : advice;
  return new BearerswapError("store_unavailable", `Redis: ${reason}${more === undefined ? "" : `: ${more}`}`);
}
