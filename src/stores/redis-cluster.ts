import { Cluster, type Redis } from "ioredis";
import type { Random } from "../platform/random.ts";
import { type ClientEvents, firstAttempt, type RedisClient, watchConnection } from "./redis-client.ts";
import { isMaster, mendNode } from "./redis-cluster-node.ts";
import type { ClusterConfig, HostPort } from "./redis-config.ts";
import { type ConnectionOptions, natMapping, reconnectDelays } from "./redis-options.ts";
import { notConnected, reasonOf } from "./redis-problems.ts";

const refreshSlotsEveryMs = 15_000;
/** MOVED and ASK prove that the command was not executed; more than this many in a row mean that the nodes disagree. */
const maxRedirections = 5;

interface ClusterDeps {
  readonly config: ClusterConfig;
  readonly options: ConnectionOptions;
  readonly random: Random;
  readonly events: ClientEvents;
}

/**
 * Connections to the masters of a cluster. All of them are made at once and kept, so that no command has to wait for a
 * connection.
 */
export function connectCluster({
  config,
  options: { scripts = {}, ...options },
  random,
  events,
}: ClusterDeps): RedisClient {
  const delay = reconnectDelays(random);
  let closed = false;
  let cluster = open();
  const attempted = cluster
    .connect()
    .then(async () => void (await Promise.all(cluster.nodes("master").map(firstAttempt))))
    .catch(() => undefined);

  return {
    attempted,
    keyed: () => cluster,
    keyless: () => anyOf(readyMasters()) ?? cluster,
    masters: readyMasters,
    refreshSlots: () => lookAgain(cluster),
    place: () => placeOf(anyOf(cluster.nodes("master"))) ?? anyOf(config.nodes),
    async close() {
      closed = true;
      cluster.disconnect();
    },
  };

  function readyMasters(): Redis[] {
    return cluster.nodes("master").filter(({ status }) => status === "ready");
  }

  function anyOf<T>(members: readonly T[]): T | undefined {
    return members[Math.floor(random.fraction() * members.length)];
  }

  function open(): Cluster {
    const opened: Cluster = new Cluster([...config.nodes], {
      scripts,
      redisOptions: options,
      lazyConnect: true,
      enableOfflineQueue: false,
      scaleReads: "master",
      maxRedirections,
      retryDelayOnFailover: 0,
      retryDelayOnClusterDown: 0,
      retryDelayOnTryAgain: 0,
      slotsRefreshTimeout: options.commandTimeout,
      slotsRefreshInterval: refreshSlotsEveryMs,
      natMap: natMapping(config.natMap),
      // Names are not resolved here: certificates hold them, and their addresses may change.
      dnsLookup: (host, found) => found(null, host),
      clusterRetryStrategy: (attempt) => delay(attempt),
      // Until the cluster is ready, its first nodes must end if they fail. Only then does ioredis begin anew.
      clusterNodeRetryStrategy: (attempt) => (opened.status === "ready" ? delay(attempt) : null),
    });
    follow(opened);
    return opened;
  }

  function follow(opened: Cluster): void {
    const told = new WeakSet<Redis>();
    const tell = (node: Redis) => {
      if (node.status !== "ready" || !isMaster(node) || told.has(node)) return;
      told.add(node);
      events.ready();
    };
    const problem = explaining(opened);
    opened.on("+node", (node: Redis) => {
      mendNode(node, problem);
      // The cluster reports the errors of its nodes.
      watchConnection(node, { ready: () => tell(node), problem: () => undefined, lost: () => events.lost?.() });
      node.on("close", () => {
        told.delete(node);
        lookAgain(opened);
      });
      if (opened.status === "ready" && isMaster(node)) void firstAttempt(node);
    });
    opened.on("ready", () => opened.nodes("master").forEach(firstAttempt));
    opened.on("refresh", () => {
      // A replica that became a master may be connected already.
      for (const node of opened.nodes("slave")) told.delete(node);
      opened.nodes("master").forEach(tell);
    });
  }

  /** Passes problems on, and finds one for an attempt that ended without any. */
  function explaining(opened: Cluster): (error: unknown) => void {
    let explained = false;
    const problem = (error: unknown) => {
      explained ||= reasonOf(error) !== notConnected;
      events.problem(error);
    };
    opened.on("node error", problem);
    opened.on("error", problem);
    opened.on("ready", () => {
      explained = false;
    });
    opened.on("close", () => explained || problem(new Error("no node of the cluster could be used")));
    return problem;
  }

  /**
   * A node was lost, and another may have its slots now. If no node answers, those of the configuration are asked anew,
   * by name.
   */
  function lookAgain(opened: Cluster): void {
    if (closed || opened !== cluster || opened.status !== "ready") return;
    opened.refreshSlotsCache((error?: Error | null) => {
      if (closed || opened !== cluster || error?.name !== "ClusterAllFailedError") return;
      opened.disconnect();
      cluster = open();
      cluster.connect().catch(() => undefined);
    });
  }
}

function placeOf(node: Redis | undefined): HostPort | undefined {
  const { host, port } = node?.options ?? {};
  return host === undefined || port === undefined ? undefined : { host, port };
}
