import type { Redis } from "ioredis";

/** Whether the cluster's client takes the node for a master. */
export function isMaster(node: Redis): boolean {
  return node.options.readOnly !== true;
}

/**
 * Keeps ioredis from doing harm at a node of a cluster: it sends a command that timed out again when its late answer is a redirection, it leaves the
 * answer to ASKING to nobody, so that a failure would end the process, and it keeps to itself why a node could not be asked for its slots.
 */
export function mendNode(node: Redis, onProblem: (error: unknown) => void): void {
  const original = { sendCommand: node.sendCommand.bind(node), asking: node.asking.bind(node), duplicate: node.duplicate.bind(node) };
  const sendCommand: Redis["sendCommand"] = (command, stream) => (command.isSettled ? command.promise : original.sendCommand(command, stream));
  const asking = () => original.asking().catch(() => undefined);
  // Slots are asked for over a copy of the connection.
  const duplicate: typeof original.duplicate = (override) => {
    const copy = original.duplicate(override);
    copy.on("error", onProblem);
    return copy;
  };
  Object.assign(node, { sendCommand, asking, duplicate });
}
