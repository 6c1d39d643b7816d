import { describe, expect, test } from "vitest";
import { load, placedProblemsOf, problemsOf } from "./config-text.ts";

const rest =
  "sessions: [{opaque: {from: {cookie: s}}}]\nupstreams: {crm: {issuer: 'https://idp.example.com', clientId: gateway}}\n";

describe("YAML", () => {
  test("may hold comments, anchors and aliases", () => {
    const { config } = load(
      `# ours\nlisten: {grpc: "127.0.0.1:1"}\nsessions: [{opaque: {from: {cookie: s}}}]\nupstreams: {crm: &crm {issuer: 'https://a.example', clientId: x}, wiki: *crm}`,
    );
    expect(config.upstreams.wiki).toEqual(config.upstreams.crm);
  });

  const broken: [what: string, text: string, problem: RegExp][] = [
    [
      "with a tab for indentation",
      `listen:\n\tgrpc: hunter2\n${rest}`,
      /^line 2: is no YAML: Tabs are not allowed as indentation \(column 1\)$/,
    ],
    [
      "with an open quote",
      `${rest}listen: {grpc: "hunter2`,
      /^line 3: is no YAML: Missing closing "quote \(column 24\)$/,
    ],
    [
      "with a key too deep",
      `${rest}listen: grpc: hunter2`,
      /^line 3: is no YAML: Nested mappings are not allowed in compact mappings \(column 9\)$/,
    ],
    [
      "with a key that occurs twice: the second would win in silence",
      `${rest}log: {level: info}\nlog: {level: hunter2}`,
      /^line 4: log: stands twice, on lines 3 and 4: keep one of them$/m,
    ],
    [
      "with a twin key further down",
      `${rest}listen:\n  grpc: "127.0.0.1:1"\n  grpc: "hunter2"`,
      /^line 5: listen\.grpc: stands twice, on lines 4 and 5: keep one of them$/m,
    ],
    [
      "with two documents",
      `${rest}---\n${rest}`,
      /^line 3: is no YAML: Source contains multiple documents \(column 1\)$/,
    ],
    [
      "with text after the value",
      `${rest}log: |x hunter2`,
      /^line 3: is no YAML: Block scalar header includes extra characters \(column 7\)$/,
    ],
    [
      "with a brace too many",
      `{${rest.split("\n")[0]}}} hunter2`,
      /^line 1: is no YAML: Unexpected flow-map-end token in YAML stream \(column \d+\)$/,
    ],
  ];
  test.each(broken)("%s is said with its place, without quoting the file", (_what, text, problem) => {
    expect(placedProblemsOf(text).join("\n")).toMatch(problem);
  });

  test("with an alias of nothing is a problem of the file like any other, and the alias is not quoted: a password may begin with *", () => {
    expect(problemsOf(`${rest}log: {level: *hunter2}`)).toEqual([expect.stringContaining("alias")]);
  });

  test.each([
    ["nothing", ""],
    ["a list", "[]"],
    ["a text", "hunter2"],
    ["null", "~"],
  ])("that is %s is not a configuration", (_what, text) => {
    expect(problemsOf(text)).toEqual(["must be a mapping with listen, sessions and upstreams"]);
  });

  test("of the wrong types is answered with what each should be, and no value", () => {
    const text =
      "listen: hunter2\nsessions: {jwt: hunter2}\nupstreams: [hunter2]\nroutes: hunter2\nstore: ~\nlog: 5\ncache: {maxSessions: 1.5}\n";
    expect(problemsOf(text)).toEqual([
      "listen: must be a mapping",
      "sessions: must be a list",
      "upstreams: must be a mapping",
      "routes: must be a list",
      "store: has no value: leave it out, or write a mapping",
      "log: must be a mapping",
      "cache.maxSessions: must be a whole number",
    ]);
  });
});
