import { expect, test } from "vitest";
import { parse } from "yaml";
import { presetNames, presets } from "../../src/providers/presets.ts";
import { expectSentence, runHere } from "./cli-process.ts";

test("presets lists them all, by name and title", async () => {
  const { code, stdout, stderr } = await runHere(["presets"]);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout.trimEnd().split("\n")).toEqual(
    presetNames.map((name) => expect.stringMatching(new RegExp(`^${name} +\\S`))),
  );
});

test("presets NAME shows everything that one fills in, as YAML and as JSON", async () => {
  const { stdout } = await runHere(["presets", "atlassian"]);
  expect(stdout).toContain("tokenEndpoint: https://auth.atlassian.com/oauth/token");
  expect(parse(stdout)).toEqual({ atlassian: presets.atlassian });
  expect(JSON.parse((await runHere(["presets", "slack", "--json"])).stdout)).toEqual({ slack: presets.slack });
  expect(JSON.parse((await runHere(["presets", "--json"])).stdout)).toEqual(presets);
});

test("presets names those there are where it is asked for another", async () => {
  for (const name of ["jira", "constructor"])
    expectSentence(
      await runHere(["presets", name]),
      new RegExp(`^bearerswap: no preset is named "${name}"; there are asana, atlassian, `),
    );
  expectSentence(await runHere(["presets", "keyclock"]), /zoom; did you mean keycloak\?\n$/);
});
