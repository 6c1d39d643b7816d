import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { startLineClient } from "./line-client.ts";
import { installPrograms } from "./programs.ts";
import { type Stage, startStage } from "./stage.ts";
import { type StoryClient, tellStory } from "./story.ts";
import type { User } from "./user.ts";

/** Applications of a Python package: what its documentation has, and no more. */
export function tellPythonStories(name: "mcp" | "fastmcp"): void {
  const files = resources("file");

  describe("from nothing to a tool's answer with one login, and again after the account is lost:", () => {
    let stage: Stage;
    beforeAll(async () => {
      stage = await startStage(files);
    });

    test.each([
      { mode: "legacy", does: "shows", story: { first: "on connecting", lost: "in the answer" } },
      { mode: "auto", does: "shows", story: { first: "on connecting", lost: "in the answer" } },
      { mode: "auto", does: "asks", story: { first: "on connecting", lost: "asked" } },
      { mode: "2026-07-28", does: "shows", story: { first: "in the answer", lost: "in the answer" } },
      { mode: "2026-07-28", does: "asks", story: { first: "asked", lost: "asked" } },
    ] as const)(`PyPI's ${name}, $mode, an application that $does`, async ({ mode, does, story }) => {
      const user = await stage.user(`${mode} ${does}`);
      const client = await startPythonApplication(stage, user, mode, does);
      expect(await tellStory(stage, user, client)).toEqual(story);
    });
  });

  async function startPythonApplication(stage: Stage, user: User, mode: string, does: string): Promise<StoryClient> {
    const { python } = await installPrograms();
    const program = join(import.meta.dirname, "python_client.py");
    const client = await files.use(
      startLineClient([python, program, name, mode, stage.mcpUrl, does], user.env, user.ask),
    );
    return {
      name: `${name} ${mode} ${does}`,
      start: () => client.tell("connect"),
      call: () => client.tell("call"),
    };
  }
}
