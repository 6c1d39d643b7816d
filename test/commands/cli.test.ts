import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { expectSentence, runHere, runProcess } from "./cli-process.ts";

describe("the command line", () => {
  test("explains every command, on standard output", async () => {
    const commands = [
      [],
      ["serve"],
      ["check"],
      ["schema"],
      ["presets"],
      ["grants"],
      ...["put", "get", "list", "revoke"].map((verb) => ["grants", verb]),
      ["keys"],
      ["keys", "generate"],
    ];
    const answers = await Promise.all(commands.map((command) => runHere([...command, "--help"])));
    for (const [at, { code, stdout, stderr }] of answers.entries()) {
      expect([code, stderr]).toEqual([0, ""]);
      expect(stdout).toContain(`Usage: ${["bearerswap", ...(commands[at] ?? [])].join(" ")} `);
    }
    expect(await runProcess(["--help"])).toEqual(answers[0]);
    expect(answers[0]?.stdout).toMatch(/serve.*check.*schema.*presets.*grants.*keys/s);
    expect(answers[6]?.stdout).toMatch(/--upstream.*--subject|--subject.*--upstream/s);
  });

  test("tells its version", async () => {
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
      version: string;
    };
    expect(await runHere(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
  });

  test("called with nothing shows its help as an error", async () => {
    const { code, stdout, stderr } = await runProcess([]);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("Usage: bearerswap");
  });

  test.each<[what: string, args: string[], sentence: RegExp]>([
    ["an unknown command", ["sreve"], /^error: unknown command 'sreve'/],
    ["an unknown option", ["schema", "--confg", "x.yaml"], /^error: unknown option '--confg'/],
    ["a missing option", ["serve"], /^error: required option '--config <file>' not specified/],
    ["an option without value", ["check", "--config"], /^error: option '--config <file>' argument missing/],
    ["an argument too many", ["check", "--config", "x.yaml", "y.yaml"], /^error: too many arguments/],
    ["an unknown grants command", ["grants", "steal"], /^error: unknown command 'steal'/],
    ["an unknown keys command", ["keys", "rotate"], /^error: unknown command 'rotate'/],
    [
      "a grants command without its admin service",
      ["grants", "list", "--session", "s"],
      /^bearerswap: say where the admin service is: give --admin/,
    ],
    [
      "a configuration that is not there",
      ["check", "--config", "/nowhere.yaml"],
      /^bearerswap: \/nowhere\.yaml: cannot be read: ENOENT/,
    ],
    [
      "an address that is none",
      ["grants", "list", "--admin", "nowhere", "--session", "s"],
      /^bearerswap: --admin nowhere is no address/,
    ],
  ])("answers %s with one sentence and exit code 1, never a stack", async (_what, args, sentence) => {
    expectSentence(await runHere(args), sentence);
  });
});

describe("the process", () => {
  test("ends with exit code 1 and one sentence too", async () => {
    expectSentence(await runProcess(["sreve"]), /^error: unknown command 'sreve'/);
    expectSentence(
      await runProcess(["check", "--config", "/nowhere.yaml"]),
      /^bearerswap: \/nowhere\.yaml: cannot be read: ENOENT/,
    );
  });
});

describe("schema", () => {
  test("prints exactly what is committed as config.schema.json", async () => {
    const committed = readFileSync(new URL("../../config.schema.json", import.meta.url), "utf8");
    expect(await runProcess(["schema"])).toEqual({ code: 0, stdout: committed, stderr: "" });
  });
});
