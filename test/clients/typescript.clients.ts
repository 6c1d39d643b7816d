import { beforeAll, describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { type Stage, startStage } from "./stage.ts";
import { tellStory } from "./story.ts";
import { startCurrentApplication, startEarlierApplication } from "./typescript-application.ts";

const files = resources("file");

describe("from nothing to a tool's answer with one login, and again after the account is lost:", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await startStage(files);
  });

  test("@modelcontextprotocol/sdk 1.32", async () => {
    const user = await stage.user("ada");
    const client = await startEarlierApplication(files, stage, user, "sdk 1");
    expect(await tellStory(stage, user, client)).toEqual({ first: "on connecting", lost: "in the answer" });
  });

  test.each([
    { revision: "2025-03-26", opensUrls: false, lost: "in the answer" },
    { revision: "2025-06-18", opensUrls: false, lost: "in the answer" },
    { revision: "2025-11-25", opensUrls: false, lost: "in the answer" },
    { revision: "2025-11-25", opensUrls: true, lost: "in the answer" },
    { revision: "auto", opensUrls: false, lost: "in the answer" },
    { revision: "auto", opensUrls: true, lost: "asked" },
    { revision: "2026-07-28", opensUrls: false, lost: "in the answer" },
    { revision: "2026-07-28", opensUrls: true, lost: "asked" },
  ] as const)(
    "@modelcontextprotocol/client 2.4, $revision, opens URLs: $opensUrls",
    async ({ lost, ...application }) => {
      const name = Object.values(application).join(" ");
      const user = await stage.user(name);
      const client = await startCurrentApplication(files, stage, user, name, application);
      expect(await tellStory(stage, user, client)).toEqual({ first: "on connecting", lost });
    },
  );
});

test("@modelcontextprotocol/client 2.4, 2025-11-25, taken for one that opens URLs, shows the address in the error", async () => {
  const stage = await startStage(files, { assumeUrlElicitation: true });
  const user = await stage.user("ada");
  const application = { revision: "2025-11-25", opensUrls: true } as const;
  const client = await startCurrentApplication(files, stage, user, "assumed", application);
  expect(await tellStory(stage, user, client)).toEqual({ first: "on connecting", lost: "in the answer" });
});
