import { type GrantKey, versionId } from "../stores/grant.ts";
import type { Turn } from "./attempt.ts";
import type { FlightTask } from "./flight-task.ts";

/** Where an earlier attempt of this process works on the same version, the store is asked again after this, ms. */
const ownAttemptMs = 1_000;

/** Does the work of an attempt on a version of a grant, or says that another one of this process has to end first. */
export type OwnAttempts = (task: FlightTask, version: string, work: () => Promise<Turn>) => Promise<Turn>;

/**
 * Lets one attempt of this process at a time work on a version, until its tokens are stored or its call is given up.
 * The lease is not enough: after a failover the store may have lost it, and both would present the same token.
 *
 * @param isReplacing whether tokens that replace the version are on their way to the store
 */
export function createOwnAttempts(isReplacing: (key: GrantKey, version: string) => boolean): OwnAttempts {
  /** The grants' versions that are worked on, with the tasks that wait for the end of that. */
  const working = new Map<string, Set<FlightTask>>();
  return async function workOn(task, version, work) {
    const id = versionId(task.key, version);
    working.get(id)?.add(task);
    if (working.has(id) || isReplacing(task.key, version)) return { kind: "wait", ms: ownAttemptMs };
    const waiting = new Set<FlightTask>();
    working.set(id, waiting);
    try {
      return await work();
    } finally {
      working.delete(id);
      for (const other of waiting) other.hears(version);
    }
  };
}
