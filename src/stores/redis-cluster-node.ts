import type { Command, Redis } from "ioredis";
import { withHost, withHosts } from "./redis-unnamed-nodes.ts";

/** Whether the cluster's client takes the node for a master. */
export function isMaster(node: Redis): boolean {
  return node.options.readOnly !== true;
}

/**
 * Keeps ioredis from doing harm at a node of a cluster: it sends a command that timed out again when its late answer is
 * a redirection, it leaves the answer to ASKING to nobody, so that a failure would end the process, it keeps to itself
 * why a node could not be asked for its slots, and it takes nodes that are named without an address for none, or for
 * nodes on this machine.
 */
export function mendNode(node: Redis, onProblem: (error: unknown) => void): void {
  const original = {
    sendCommand: node.sendCommand.bind(node),
    asking: node.asking.bind(node),
    duplicate: node.duplicate.bind(node),
  };
  const sendCommand: Redis["sendCommand"] = (command, stream) => {
    if (command.isSettled) return command.promise;
    nameRedirections(command, node);
    return original.sendCommand(command, stream);
  };
  const asking = () => original.asking().catch(() => undefined);
  // Slots are asked for over a copy of the connection.
  const duplicate: typeof original.duplicate = (override) => {
    const copy = original.duplicate(override);
    copy.on("error", onProblem);
    nameSlots(copy);
    return copy;
  };
  Object.assign(node, { sendCommand, asking, duplicate });
}

function nameRedirections(command: Command, { options }: Redis): void {
  const reject = command.reject;
  command.reject = (error) => {
    error.message = withHost(error.message, options.host);
    reject.call(command, error);
  };
}

type SlotsCallback = (error: Error | null, reply?: unknown) => void;

function nameSlots(copy: Redis): void {
  const cluster = copy.cluster.bind(copy) as (subcommand: string, callback: SlotsCallback) => unknown;
  Object.assign(copy, {
    cluster: (subcommand: string, callback: SlotsCallback) =>
      cluster(subcommand, (error, reply) => callback(error, withHosts(reply, copy.options.host))),
  });
}
