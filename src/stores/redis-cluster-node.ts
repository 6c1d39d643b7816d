import type { Command, Redis } from "ioredis";
import { withHost, withHosts } from "./redis-unnamed-nodes.ts";

/** Whether the cluster's client takes the node for a master. */
export function isMaster(node: Redis): boolean {
  return node.options.readOnly !== true;
}

/**
 * Keeps ioredis from doing harm at a node of a cluster. It would
 * - send a command that timed out again, if its late answer is a redirection;
 * - let a failure of ASKING end the process, as nobody waits for its answer;
 * - not say why a node could not be asked for its slots;
 * - ignore nodes that are named without an address, or take them for nodes on this machine.
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
  // ioredis asks for the slots over a copy of the connection.
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
