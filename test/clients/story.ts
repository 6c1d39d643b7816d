import { expect } from "vitest";
import { calledTool } from "../support/mcp-server.ts";
import type { Stage } from "./stage.ts";
import type { User } from "./user.ts";

/** A client as its user has it. What it answers is all that this user sees. */
export interface StoryClient {
  /** The name by which the issuer knows it. */
  readonly name: string;
  /** Starts it, or starts it once more with what it has kept. */
  start(): Promise<string>;
  /** Has it call a tool. */
  call(): Promise<string>;
}

/** How the user learns the address: before the client is connected, in the place of a tool's answer, or by a question. */
export type Way = "on connecting" | "in the answer" | "asked";

/** How a client's user came to the two pages of a story. */
export interface Story {
  readonly first: Way;
  readonly lost: Way;
}

/**
 * From nothing to a tool's answer, and again after the account is lost. The user logs in once at the session's issuer
 * and once at the provider, whatever the client does.
 */
export async function tellStory(stage: Stage, user: User, client: StoryClient): Promise<Story> {
  const since = { issuer: countsOf(stage.issuer), provider: countsOf(stage.provider) };
  const first = await untilCalled(user, client, await client.start());
  stage.lose();
  const lost = await untilCalled(user, client, "");

  const issuer = sinceThen(stage.issuer, since.issuer);
  expect(issuer.questions).toEqual([{ client: client.name, prompt: "login" }]);
  // The gateway's own two are those of the links, which ask the user nothing.
  expect(issuer.authorizations).toEqual([client.name, "gateway", "gateway"]);
  expect(sinceThen(stage.provider, since.provider).questions.map(({ prompt }) => prompt)).toEqual(["login", "consent"]);
  return { first, lost };
}

/** Goes where the user is led to, and has the same client go on if it was connected before. */
async function untilCalled(user: User, client: StoryClient, started: string): Promise<Way> {
  const asked = user.asked.length;
  const isRefused = addressIn(started) !== undefined;
  const shown = isRefused ? started : await client.call();
  if (shown.includes(calledTool)) {
    expect(user.asked).toHaveLength(asked + 1);
    return "asked";
  }
  expect(shown).toContain("Connect your crm account to go on: open ");
  expect(await user.open(addressIn(shown) ?? "")).toMatchObject({ status: 200, body: connected });
  if (isRefused) expect(addressIn(await client.start())).toBeUndefined();
  expect(await client.call()).toContain(calledTool);
  expect(user.asked).toHaveLength(asked);
  return isRefused ? "on connecting" : "in the answer";
}

const connected = expect.stringContaining("crm is connected");

/** The page to connect an account, in what a client shows. */
export function addressIn(shown: string): string | undefined {
  return /https?:\/\/[^\s"\\]+\/_bearerswap\/connect\/[^\s"\\]+/.exec(shown)?.[0];
}

type Counted = Pick<Stage["issuer"], "questions" | "authorizations">;

function countsOf({ questions, authorizations }: Counted) {
  return { questions: questions.length, authorizations: authorizations.length };
}

function sinceThen({ questions, authorizations }: Counted, counts: ReturnType<typeof countsOf>): Counted {
  return {
    questions: questions.slice(counts.questions),
    authorizations: authorizations.slice(counts.authorizations),
  };
}
