import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import type { Command } from "commander";
import { createGrantsClient, type GrantsClient, refreshOutcomes } from "../admin/grants-client.ts";
import { type Address, parseAddress } from "../platform/address.ts";
import { BearerswapError, messageOf } from "../platform/error.ts";
import { Secret } from "../platform/secret.ts";
import type { CliContext } from "./context.ts";
import { type Grant, jsonOf, lineOf, placeOf } from "./grant-lines.ts";
import { parseSecretInput, parseTokenInput } from "./token-input.ts";

interface GrantsOptions {
  readonly admin?: string;
  readonly adminTokenFile?: string;
  readonly adminCa?: string;
  readonly source?: string;
  readonly session?: string;
  readonly sessionFile?: string;
  readonly upstream?: string;
  readonly subject?: string;
  readonly issuer?: string;
  readonly keepUpstream?: boolean;
  readonly secret?: boolean;
  /** False under `--no-verify`. */
  readonly verify?: boolean;
  readonly json?: boolean;
}

type Placed = Awaited<ReturnType<GrantsClient["listBySubject"]>>["grants"];
type Revoked = Awaited<ReturnType<GrantsClient["revokeBySubject"]>>;

/** `grants put|get|list|refresh|revoke`: what the store holds for a session. */
export function addGrantsCommand(program: Command, { env, stdin, stdout, stderr }: CliContext): void {
  const grants = program
    .command("grants")
    .description("put, show, refresh and revoke the grants of a session, through the admin service (listen.admin)");

  verb("put", "store a token response (RFC 6749 section 5.1, JSON) or a bare refresh token from standard input")
    .requiredOption("--upstream <name>", "upstream the tokens are for")
    .option("--subject <subject>", "whose grant it is, where sessions are bound to a subject")
    .option("--secret", "standard input is a secret of an upstream that has such: a key, a token, or user:password")
    .option("--no-verify", "store the secret without trying it at the API first")
    .action((options: GrantsOptions) =>
      withClient(options, env, async (client) => {
        const session = sessionOf(options); // first, so that nobody types in a token for nothing
        const given = inputOf(options, await text(stdin));
        const { grant } = await client.put({
          session,
          upstream: options.upstream ?? "",
          subject: options.subject ?? "",
          ...given,
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

  ofUsers(verb("list", "show all grants of a session, or of a user in all sessions, without their tokens")).action(
    (options: GrantsOptions) =>
      withClient(options, env, async (client) => {
        const owner = ownerOf(options);
        if (owner !== undefined) return printPlaced(options, (await client.listBySubject({ owner })).grants);
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
        else if (name === "refreshed")
          stdout.write(`refreshed\n${grant === undefined ? "" : `${grant.upstream}: ${lineOf(grant)}\n`}`);
        if (name !== "refreshed") throw new BearerswapError("input", notRefreshed(upstream, name, why, retryAfterMs));
      }),
    );

  ofUsers(
    verb("revoke", "end the grants of a session, or of a user, at their providers and here: one upstream's, or all")
      .option("--upstream <name>", "only this upstream's")
      .option("--keep-upstream", "leave the tokens valid at the provider"),
  ).action((options: GrantsOptions) =>
    withClient(options, env, async (client) => {
      const { upstream = "", keepUpstream = false } = options;
      const owner = ownerOf(options);
      if (owner !== undefined)
        return printRevoked(options, await client.revokeBySubject({ owner, upstream, keepUpstream }));
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

  function ofUsers(command: Command): Command {
    return command
      .option("--subject <subject>", "in place of a session: the user, by the `sub` of the sessions' tokens")
      .option("--issuer <url>", "the issuer whose user it is; may be left out where only one is configured");
  }

  function printPlaced({ json }: GrantsOptions, found: Placed): void {
    if (json)
      stdout.write(
        `${JSON.stringify({ grants: found.map(({ place, grant }) => ({ ...place, ...(grant && jsonOf(grant)) })) })}\n`,
      );
    else if (found.length === 0) stdout.write("no grants\n");
    else
      for (const { place, grant } of found)
        stdout.write(`${placeOf(place)}: ${grant === undefined ? "" : lineOf(grant)}\n`);
  }

  function printRevoked({ json }: GrantsOptions, { revoked, unconfirmed, unreadable }: Revoked): void {
    for (const { place, why } of unconfirmed)
      stderr.write(`warning: ${placeOf(place)}: the provider did not confirm, its tokens may still be valid: ${why}\n`);
    for (const { place, why } of unreadable)
      stderr.write(`warning: ${placeOf(place)}: not revoked, since nobody can tell whose it is: ${why}\n`);
    const flat = (all: Revoked["unconfirmed"]) => all.map(({ place, why }) => ({ ...place, why }));
    if (json)
      stdout.write(`${JSON.stringify({ revoked, unconfirmed: flat(unconfirmed), unreadable: flat(unreadable) })}\n`);
    else if (revoked.length === 0) stdout.write("nothing to revoke\n");
    else for (const place of revoked) stdout.write(`revoked: ${placeOf(place)}\n`);
    if (unreadable.length > 0)
      throw new BearerswapError(
        "input",
        'some grants could not be read and were not revoked: "grants revoke --session" ends those of a session, whosever they are',
      );
  }

  function print(options: GrantsOptions, found: readonly Grant[], frame: (lines: string) => string): void {
    if (options.json) stdout.write(`${JSON.stringify({ grants: found.map(jsonOf) })}\n`);
    else stdout.write(frame(found.map((grant) => `${grant.upstream}: ${lineOf(grant)}\n`).join("")));
  }
}

/** Gives the admin service's client to `run`, and closes it. */
export async function withClient(
  options: Pick<GrantsOptions, "admin" | "adminTokenFile" | "adminCa">,
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

function adminOf({ admin }: Pick<GrantsOptions, "admin">, env: CliContext["env"]): Address {
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

/** What standard input holds, in the admin service's words. */
function inputOf({ secret = false, verify = true }: GrantsOptions, input: string) {
  if (!secret && !verify) throw new BearerswapError("input", "--no-verify goes with --secret");
  return secret
    ? { token: undefined, secret: { text: parseSecretInput(input), untried: !verify } }
    : { token: parseTokenInput(input), secret: undefined };
}

/** The user whose grants are meant; undefined where a session's are. */
function ownerOf({ subject, issuer, session, sessionFile, source }: GrantsOptions) {
  if (subject === undefined && issuer === undefined) return undefined;
  if (subject === undefined) throw new BearerswapError("input", "--issuer goes with --subject");
  if ([session, sessionFile, source].some((option) => option !== undefined))
    throw new BearerswapError(
      "input",
      "give either --subject, for a user's grants in all sessions, or a session: --session, --session-file and --source do not go with it",
    );
  return { issuer: issuer ?? "", subject };
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
