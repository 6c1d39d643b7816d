import { readFileSync } from "node:fs";
import type { z } from "zod";
import { BearerswapError, messageOf } from "../platform/error.ts";
import { isObject, type JsonObject } from "../platform/json-object.ts";
import { Secret } from "../platform/secret.ts";
import { crossCheck, warningsOf } from "./cross-checks.ts";
import { describeIssue } from "./describe.ts";
import { type ConfigDocument, readDocument } from "./document.ts";
import { isOfToolhive, type Parsed } from "./parsed.ts";
import { applyPresets } from "./presets.ts";
import type { Problem } from "./problem.ts";
import { type Environment, type Resolved, resolveReferences } from "./references.ts";
import { type Config, members, type SectionName, sections } from "./schema.ts";

/** A configuration that can be served, and what its operator should know about it. */
export interface LoadedConfig {
  readonly config: Config;
  readonly warnings: readonly string[];
}

/**
 * Reads a configuration file.
 * @throws BearerswapError `config`; its message names the file and lists every problem, one a line, with its line and
 * path
 */
export function loadConfig(file: string, environment: Environment): LoadedConfig {
  environment.note?.(file);
  return parseConfig(readText(file), file, environment);
}

/** Like {@link loadConfig}, from the file's text. */
export function parseConfig(text: string, file: string, environment: Environment): LoadedConfig {
  const config = deepFreeze(examine(text, file, environment).parsed as Config);
  return { config, warnings: warningsOf(config) };
}

/**
 * Checks a file where its secrets are not: no variable and no file that it names is looked up.
 * @returns warnings, and how many values were left out
 * @throws like {@link loadConfig}
 */
export function checkWithoutValues(file: string): { readonly warnings: readonly string[]; readonly leftOut: number } {
  const { parsed, replaced } = examine(readText(file), file, { env: {}, withoutValues: true });
  return { warnings: warningsOf(parsed), leftOut: replaced.size };
}

/**
 * The file's section `log` alone, as far as it can be read: for saying, in that format, why the rest cannot be used.
 */
export function readLogConfig(file: string): Config["log"] {
  try {
    const { content } = readDocument(readFileSync(file, "utf8"));
    const { format } = isObject(content) && isObject(content.log) ? content.log : {};
    return sections.log.safeParse({ format }).data ?? sections.log.parse({});
  } catch {
    // The caller is about to say why the file cannot be read.
    return sections.log.parse({});
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new BearerswapError("config", `${file}: cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

/** What could be parsed. It is complete, but for what depends on a value that was left out. */
function examine(
  text: string,
  file: string,
  environment: Environment,
): { readonly parsed: Parsed; readonly replaced: ReadonlySet<string> } {
  const document = readDocument(text);
  if (document.content === undefined && document.problems.length > 0) throw failure(file, document.problems, document);
  const resolved = resolveReferences(document.content, environment);
  const problems = [...document.problems, ...resolved.problems];
  const raw = resolved.content;
  if (!isObject(raw))
    throw failure(file, [{ path: "", message: "must be a mapping with listen, sessions and upstreams" }], document);
  const parsed = withToolhive(createParser(document, resolved, problems)(applyPresets(raw, problems)));
  problems.push(...crossCheck(parsed, raw));
  if (problems.length > 0) throw failure(file, problems, document);
  return { parsed, replaced: resolved.replaced };
}

/** Where grants are ToolHive's rows, sessions are what its rows are stored under. */
function withToolhive(parsed: Parsed): Parsed {
  if (!isOfToolhive(parsed)) return parsed;
  return { ...parsed, sessions: parsed.sessions?.map((source) => source && { ...source, isOfToolhive: true }) };
}

/** Parses section by section, and lists and maps member by member, so that one problem does not hide another. */
function createParser(
  document: ConfigDocument,
  { replaced }: Resolved,
  problems: Problem[],
): (raw: JsonObject) => Parsed {
  return function parseSections(raw) {
    for (const name of Object.keys(raw))
      if (!Object.hasOwn(sections, name))
        report({ code: "unrecognized_keys", keys: [name], path: [], message: "" }, [], raw);
    const names = Object.keys(sections) as SectionName[];
    return Object.fromEntries(names.map((name) => [name, parseSection(name, raw[name])])) as Parsed;
  };

  /** What can be parsed of a section. A part that cannot be is reported, and undefined in its place. */
  function parseSection(name: SectionName, raw: unknown): unknown {
    const result = (sections[name] as z.ZodType).safeParse(raw);
    if (result.success) return result.data;
    for (const issue of result.error.issues) report(issue, [name], raw);
    const member = members[name];
    if (member === undefined) return withoutUnknownKeys(sections[name], raw, result.error.issues);
    if (name !== "upstreams")
      return Array.isArray(raw) ? raw.map((item, at) => parseMember(member, item, [name, at])) : undefined;
    return isObject(raw)
      ? Object.fromEntries(Object.entries(raw).map(([key, item]) => [key, parseMember(member, item, [name, key])]))
      : undefined;
  }

  function parseMember(schema: z.ZodType, raw: unknown, path: readonly PropertyKey[]): unknown {
    const result = schema.safeParse(raw);
    if (result.success) return result.data;
    for (const issue of result.error.issues) report(issue, path, raw);
    return withoutUnknownKeys(schema, raw, result.error.issues);
  }

  function report(issue: z.core.$ZodIssue, path: readonly PropertyKey[], value: unknown): void {
    problems.push(...describeIssue(issue, { path, value, document }).filter((problem) => !replaced.has(problem.path)));
  }
}

/** What is parsed without the keys that are not known, so that they do not hide other problems. */
function withoutUnknownKeys(schema: z.ZodType, raw: unknown, issues: readonly z.core.$ZodIssue[]): unknown {
  const unknown = issues.flatMap((issue) =>
    issue.code === "unrecognized_keys" && issue.path.length === 0 ? issue.keys : [],
  );
  if (unknown.length === 0 || !isObject(raw)) return undefined;
  return schema.safeParse(Object.fromEntries(Object.entries(raw).filter(([key]) => !unknown.includes(key)))).data;
}

/** The error that lists every problem on a line of its own, in the order of the file. */
function failure(file: string, problems: readonly Problem[], { lineOf }: ConfigDocument): BearerswapError {
  const placed = problems.map(({ path, message, line = lineOf(path), other }) => {
    const said = other === undefined ? message : message.replace(other, `${other} (line ${lineOf(other)})`);
    return { line, text: path === "" ? said : `${path}: ${said}` };
  });
  const ordered = placed.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  const lines = [...new Set(ordered.map(({ line, text }) => (line === undefined ? text : `line ${line}: ${text}`)))];
  const count = lines.length === 1 ? "1 problem" : `${lines.length} problems`;
  return new BearerswapError("config", `${file}: ${count}\n${lines.map((line) => `  ${line}`).join("\n")}`);
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || value instanceof Secret) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}
