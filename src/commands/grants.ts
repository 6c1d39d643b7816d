import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import type { Command } from "commander";
import { createGrantsClient, type GrantsClient, grantStates, refreshOutcomes } from "../admin/grants-client.ts";
import { type Address, parseAddress } from "../platform/address.ts";
import { BearerswapError, messageOf } from "../platform/error.ts";
import { Secret } from "../platform/secret.ts";
import type { CliContext } from "./context.ts";
import { parseTokenInput } from "./token-input.ts";

interface GrantsOptions {
  readonly admin?: string;
  readonly adminTokenFile?: string;
  readonly adminCa?: string;
  readonly source?: string;
  readonly session?: string;
  readonly sessionFile?: string;
  readonly upstream?: string;
  readonly subject?: string;
  readonly keepUpstream?: boolean;
  readonly json?: boolean;
}

type Grant = NonNullable<Awaited<ReturnType<GrantsClient["get"]>>["grant"]>;

/** `grants put|get|list|refresh|revoke`: what the store holds for a session. */
export function addGrantsCommand(program: Command, { env, stdin, stdout, stderr }: CliContext): void {
  const grants = program
    .command("grants")
    .description("put, show, refresh and revoke the grants of a session, through the admin service (listen.admin)");

  verb("put", "store a token response (RFC 6749 section 5.1, JSON) or a bare refresh token from standard input")
    .requiredOption("--upstream <name>", "upstream the tokens are for")
    .option("--subject <subject>", "whose grant it is, where sessions are bound to a subject")
    .action((options: GrantsOptions) =>
      withClient(options, env, async (client) => {
        const session = sessionOf(options); // first, so that nobody types in a token for nothing
        const token = parseTokenInput(await text(stdin));
        const { grant } = await client.put({
          session,
          upstream: options.upstream ?? "",
          subject: options.subject ?? "",
          token,
        });
        print(options, grant === undefined ? [] : [grant], (lines) => `stored\n${lines}`);
      }),
    );

  verb("get", "show one grant, without its tokens")
    .requiredOption("--upstream <name>", "upstream the grant is for")
    .action((options: GrantsOptions) =>
      withClient(options, env, async (client) => {
        const { grant } = await client.get({ session: sessionOf(options), upstream: options.upstream ?? "" });
        print(options, grant === undefined ? [] : [grant], (lines) => lines);
      }),
    );

  verb("list", "show all grants of a session, without their tokens").action((options: GrantsOptions) =>
    withClient(options, env, async (client) => {
      const { grants: found } = await client.list({ session: sessionOf(options) });
      print(options, found, (lines) => (found.length === 0 ? "no grants\n" : lines));
    }),
  );

  verb("refresh", "get a new access token now although the one in use is fresh, for example after an API refused it")
    .requiredOption("--upstream <name>", "upstream the grant is for")
    .action((options: GrantsOptions) =>
      withClient(options, env, async (client) => {
        const { upstream = "" } = options;
        const { outcome, why, retryAfterMs, grant } = await client.refresh({ session: sessionOf(options), upstream });
        const name = refreshOutcomes[outcome] ?? "unknown";
        if (options.json)
          stdout.write(
            `${JSON.stringify({ outcome: name, why, retryAfterMs, grants: grant === undefined ? [] : [jsonOf(grant)] })}\n`,
          );
        else if (name === "refreshed") stdout.write(`refreshed\n${grant === undefined ? "" : `${lineOf(grant)}\n`}`);
        if (name !== "refreshed") throw new BearerswapError("input", notRefreshed(upstream, name, why, retryAfterMs));
      }),
    );

  verb("revoke", "end a session's grants, at their providers and here: one upstream's, or all of them")
    .option("--upstream <name>", "only this upstream's")
    .option("--keep-upstream", "leave the tokens valid at the provider")
    .action((options: GrantsOptions) =>
      withClient(options, env, async (client) => {
        const { upstream = "", keepUpstream = false } = options;
        const { upstreams, unconfirmed } = await client.revoke({ session: sessionOf(options), upstream, keepUpstream });
        for (const { upstream: name, why } of unconfirmed)
          stderr.write(`warning: ${name}: the provider did not confirm, its tokens may still be valid: ${why}\n`);
        if (options.json) stdout.write(`${JSON.stringify({ revoked: upstreams, unconfirmed })}\n`);
        else stdout.write(upstreams.length === 0 ? "nothing to revoke\n" : `revoked: ${upstreams.join(", ")}\n`);
      }),
    );

  function verb(name: string, description: string): Command {
    return grants
      .command(name)
      .description(description)
      .option("--admin <address>", "the admin service: unix:/path or host:port; default: the variable BEARERSWAP_ADMIN")
      .option("--admin-token-file <file>", "file with the admin token (listen.adminToken)")
      .option("--admin-ca <file>", "certificate authority of the admin service, PEM; turns TLS on")
      .option("--source <name>", "session source; may be left out where only one is configured")
      .option("--session <id>", "session id, as the source finds it in a request")
      .option("--session-file <file>", "file with the session id, to keep it out of the process list")
      .option("--json", "print JSON");
  }

  function print(options: GrantsOptions, found: readonly Grant[], frame: (lines: string) => string): void {
    if (options.json) stdout.write(`${JSON.stringify({ grants: found.map(jsonOf) })}\n`);
    else stdout.write(frame(found.map((grant) => `${lineOf(grant)}\n`).join("")));
  }
}

async function withClient(
  options: GrantsOptions,
  env: CliContext["env"],
  run: (client: GrantsClient) => Promise<void>,
): Promise<void> {
  const address = adminOf(options, env);
  const token = options.adminTokenFile === undefined ? undefined : new Secret(readLine(options.adminTokenFile));
  const client = createGrantsClient({ address, token, caFile: options.adminCa });
  try {
    await run(client);
  } finally {
    client.close();
  }
}

function adminOf({ admin }: GrantsOptions, env: CliContext["env"]): Address {
  const [name, text] = admin === undefined ? ["BEARERSWAP_ADMIN", env.BEARERSWAP_ADMIN ?? ""] : ["--admin", admin];
  if (admin === undefined && text === "")
    throw new BearerswapError(
      "input",
      "say where the admin service is: give --admin unix:/path or host:port, or set the variable BEARERSWAP_ADMIN",
    );
  const address = parseAddress(text);
  if (address === undefined)
    throw new BearerswapError("input", `${name} ${text} is no address: write unix:/path or host:port`);
  return address;
}

function sessionOf({ source, session, sessionFile }: GrantsOptions): { source: string; id: string } {
  if ((session === undefined) === (sessionFile === undefined))
    throw new BearerswapError("input", "give one of --session and --session-file");
  return { source: source ?? "", id: session ?? readLine(sessionFile ?? "") };
}

function readLine(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new BearerswapError("input", `cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
}

function notRefreshed(upstream: string, outcome: string, why: string, retryAfterMs: number | undefined): string {
  if (outcome === "refused")
    return `${upstream} was not refreshed (${why}): the user has to log in again. A token in use is served until it ends; "grants revoke" ends it now`;
  const when = retryAfterMs === undefined ? "later" : `in ${Math.ceil(retryAfterMs / 1_000)}s`;
  return `${upstream} was not refreshed (${why}): nothing is lost and the token in use stays, try again ${when}`;
}

function jsonOf({ state, ...grant }: Grant) {
  return { ...grant, state: grantStates[state] ?? "unknown" };
}

function lineOf(grant: Grant): string {
  const access = grant.hasAccessToken
    ? `access token ${grant.accessTokenExpiresInMs === undefined ? "without expiry" : `for ${seconds(grant.accessTokenExpiresInMs)}`}`
    : "no access token";
  const isHeld = grant.state === 1 || grant.state === 2;
  const parts = [
    grantStates[grant.state] ?? "unknown",
    grant.why && `(${grant.why})`,
    isHeld ? access : "",
    !isHeld ? "" : grant.hasRefreshToken ? "refresh token" : "no refresh token",
    grant.failingForMs === undefined ? "" : `refreshes failing for ${seconds(grant.failingForMs)}`,
    grant.expiresInMs === undefined ? "" : `kept for ${seconds(grant.expiresInMs)}`,
    grant.subject && `subject ${grant.subject}`,
    grant.scope && `scope "${grant.scope}"`,
  ].filter((part) => part !== "");
  return `${grant.upstream}: ${parts.join(", ")}`;
}

function seconds(ms: number): string {
  return `${Math.floor(ms / 1_000)}s`;
}
