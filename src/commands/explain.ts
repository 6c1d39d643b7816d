import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import type { Command } from "commander";
import { checkRequestOf, parseCheckRequest } from "../admin/check-request.ts";
import { loadConfig } from "../config/load.ts";
import type { Explanation } from "../explain/explanation.ts";
import { systemClock } from "../platform/clock.ts";
import { BearerswapError, messageOf } from "../platform/error.ts";
import { createFetchFor } from "../platform/fetch-for.ts";
import { createGuardedFetchFor } from "../platform/guarded-fetch.ts";
import { createLog } from "../platform/log.ts";
import { systemRandom } from "../platform/random.ts";
import { createService } from "../service.ts";
import type { CliContext } from "./context.ts";
import { explanationLines } from "./explanation-lines.ts";
import { withClient } from "./grants.ts";

interface ExplainOptions {
  readonly admin?: string;
  readonly adminTokenFile?: string;
  readonly adminCa?: string;
  readonly config?: string;
  readonly request?: string;
  readonly credentials?: string;
  readonly host: string;
  readonly path: string;
  readonly method: string;
  readonly header: readonly string[];
  readonly upstream?: string;
  readonly missing?: string;
  readonly mcp?: boolean;
  readonly principal: string;
  readonly json?: boolean;
}

type CheckRequest = ReturnType<typeof checkRequestOf>;

/** `explain`: what would become of a request, and why. */
export function addExplainCommand(program: Command, { env, stdin, stdout, stderr }: CliContext): void {
  program
    .command("explain")
    .description("say what a request would be answered now, and why; nothing is changed by it, and no token is printed")
    .option("--admin <address>", "the running service: unix:/path or host:port; default: the variable BEARERSWAP_ADMIN")
    .option("--admin-token-file <file>", "file with the admin token (listen.adminToken)")
    .option("--admin-ca <file>", "certificate authority of the admin service, PEM; turns TLS on")
    .option("--config <file>", "in place of a running service: a configuration, with the store that it names")
    .option("--request <file>", "a CheckRequest as JSON, in place of the options below; - is standard input")
    .option("--credentials <file>", "header lines with the credentials, such as cookie: a=b; - is standard input")
    .option("--host <host>", "the request's host", "")
    .option("--path <path>", "its path", "/")
    .option("--method <method>", "its method", "GET")
    .option("--header <line>", "another header, name: value; may be repeated", collected, [])
    .option("--upstream <names>", "what Envoy's context_extensions say under upstream")
    .option("--missing <word>", "what they say under missing")
    .option("--mcp", "they say mcp: true")
    .option("--principal <id>", "the SPIFFE ID of the mTLS peer", "")
    .option("--json", "print JSON")
    .action(async (options: ExplainOptions) => {
      const request = await requestOf(options, stdin);
      const explanation =
        options.config === undefined
          ? await byService(options, env, request)
          : await byConfig(options.config, { env, stderr }, request);
      stdout.write(options.json ? `${JSON.stringify(explanation)}\n` : explanationLines(explanation as Explanation));
    });
}

async function byService(options: ExplainOptions, env: CliContext["env"], request: CheckRequest): Promise<object> {
  let explanation: object = {};
  await withClient(options, env, async (client) => {
    explanation = await client.explain(request);
  });
  return explanation;
}

/** As a process would answer that has just begun with this configuration: its caches and breakers are empty. */
async function byConfig(
  file: string,
  { env, stderr }: Pick<CliContext, "env" | "stderr">,
  request: CheckRequest,
): Promise<object> {
  const { config } = loadConfig(file, { env });
  if (config.store.kind === "memory")
    stderr.write(
      "note: this store is in memory, and what a running service keeps there is not seen here: route and session are " +
        "explained, and every grant is missing. To see the grants, ask that service, by --admin\n",
    );
  const service = await createService({
    // Healing would begin to make keys in the store; and nobody has to be waited for who listens to nothing.
    config: { ...config, heal: undefined, shutdown: { ...config.shutdown, timeoutMs: 100 } },
    clock: systemClock(),
    random: systemRandom(),
    fetchFor: createFetchFor(env),
    guardedFetchFor: createGuardedFetchFor(env),
    log: createLog({ level: "silent", format: "json" }),
  });
  try {
    return await service.explain(request);
  } finally {
    await service.stop();
  }
}

async function requestOf(options: ExplainOptions, stdin: CliContext["stdin"]): Promise<CheckRequest> {
  const { request, credentials, header, host, path, method, principal } = options;
  if (request === "-" && credentials === "-")
    throw new BearerswapError("input", "standard input can be only one of --request and --credentials");
  if (request !== undefined) return parseCheckRequest(await contents(request, stdin));
  const given = header.map(headerOf);
  const open = given.find(([name]) => /^(?:cookie|authorization)$/i.test(name));
  if (open !== undefined)
    throw new BearerswapError(
      "input",
      `${open[0]} on the command line would stand in the shell's history and the process list: give it by --credentials`,
    );
  const lines = credentials === undefined ? [] : (await contents(credentials, stdin)).split(/\r?\n/);
  const secret = lines.filter((line) => line.trim() !== "").map(headerOf);
  return checkRequestOf({
    ...{ method, host, path, principal, headers: [...given, ...secret] },
    contextExtensions: new Map(
      [
        ["upstream", options.upstream],
        ["missing", options.missing],
        ["mcp", options.mcp ? "true" : undefined],
      ].filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
  });
}

function headerOf(line: string): readonly [name: string, value: string] {
  const [, name, value] = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
  // The line is not repeated: it may be a credential.
  if (name === undefined || value === undefined)
    throw new BearerswapError("input", "a header is no line of the form name: value");
  return [name, value];
}

async function contents(file: string, stdin: CliContext["stdin"]): Promise<string> {
  if (file === "-") return text(stdin);
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new BearerswapError("input", `cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
}

function collected(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}
