import { readFileSync } from "node:fs";
import { type Document, parseDocument } from "yaml";
import type { z } from "zod";
import { BearerswapError, messageOf } from "../error.ts";
import { Secret } from "../secret.ts";
import { crossCheck, type Parsed, warningsOf } from "./cross-checks.ts";
import { applyPresets } from "./presets.ts";
import { type Environment, type Problem, resolveReferences } from "./references.ts";
import { type Config, members, type SectionName, sections } from "./schema.ts";

/** A configuration that can be served, and what its operator should know about it. */
export interface LoadedConfig {
  readonly config: Config;
  readonly warnings: readonly string[];
}

/**
 * Reads a configuration file.
 * @throws BearerswapError `config`; its message names the file and lists every problem, one a line, with its path
 */
export function loadConfig(file: string, environment: Environment): LoadedConfig {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new BearerswapError("config", `${file}: cannot be read: ${messageOf(error)}`, { cause: error });
  }
  return parseConfig(text, file, environment);
}

/** Like {@link loadConfig}, from the file's text. */
export function parseConfig(text: string, file: string, environment: Environment): LoadedConfig {
  const document = parseDocument(text);
  if (document.errors.length > 0)
    throw failure(
      file,
      document.errors.map((error) => ({ path: "", message: withoutQuote(error.message) })),
    );
  const problems: Problem[] = [];
  const raw = resolveReferences(contentOf(document, file), environment, problems);
  if (!isMapping(raw)) throw failure(file, [{ path: "", message: "must be a mapping with listen, sessions and upstreams" }]);
  const parsed = parseSections(applyPresets(raw, problems), problems);
  problems.push(...crossCheck(parsed, Object.keys(raw)));
  if (problems.length > 0) throw failure(file, problems);
  const config = deepFreeze(parsed as Config);
  return { config, warnings: warningsOf(config) };
}

function contentOf(document: Document, file: string): unknown {
  try {
    return document.toJS();
  } catch {
    // The cause would quote what follows the asterisk.
    throw failure(file, [{ path: "", message: "holds a YAML alias (*name) without the anchor it stands for, or far too many of them" }]);
  }
}

type Mapping = Readonly<Record<string, unknown>>;

function parseSections(raw: Mapping, problems: Problem[]): Parsed {
  for (const name of Object.keys(raw)) {
    if (!Object.hasOwn(sections, name)) problems.push({ path: name, message: `is no known key; known are ${Object.keys(sections).join(", ")}` });
  }
  const names = Object.keys(sections) as SectionName[];
  return Object.fromEntries(names.map((name) => [name, parseSection(name, raw[name], problems)])) as Parsed;
}

/** What can be parsed of a section; what cannot becomes problems, and undefined in its place. */
function parseSection(name: SectionName, raw: unknown, problems: Problem[]): unknown {
  const result = (sections[name] as z.ZodType).safeParse(raw);
  if (result.success) return result.data;
  problems.push(...result.error.issues.flatMap((issue) => describe(issue, [name])));
  const member = members[name];
  if (member === undefined) return withoutUnknownKeys(sections[name], raw, result.error.issues);
  if (name !== "upstreams") return Array.isArray(raw) ? raw.map((item, at) => parseMember(member, item, [name, at], problems)) : undefined;
  return isMapping(raw) ? Object.fromEntries(Object.entries(raw).map(([key, item]) => [key, parseMember(member, item, [name, key], problems)])) : undefined;
}

function parseMember(schema: z.ZodType, raw: unknown, path: readonly PropertyKey[], problems: Problem[]): unknown {
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  problems.push(...result.error.issues.flatMap((issue) => describe(issue, path)));
  return withoutUnknownKeys(schema, raw, result.error.issues);
}

/** A key too many hides nothing else. */
function withoutUnknownKeys(schema: z.ZodType, raw: unknown, issues: readonly z.core.$ZodIssue[]): unknown {
  const unknown = issues.flatMap((issue) => (issue.code === "unrecognized_keys" && issue.path.length === 0 ? issue.keys : []));
  if (unknown.length === 0 || !isMapping(raw)) return undefined;
  return schema.safeParse(Object.fromEntries(Object.entries(raw).filter(([key]) => !unknown.includes(key)))).data;
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An issue in our words: none of them quotes the value, which may be a secret. */
function describe(issue: z.core.$ZodIssue, section: readonly PropertyKey[]): Problem[] {
  const path = [...section, ...issue.path];
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => ({ path: pathOf([...path, key]), message: "is no known key" }));
    case "invalid_type":
      return [{ path: pathOf(path), message: isMissing(issue) ? "is missing" : `must be ${article(issue.expected)}` }];
    case "invalid_value":
      return [{ path: pathOf(path), message: `must be one of ${issue.values.join(", ")}` }];
    case "invalid_key":
      return issue.issues.map(({ message }) => ({ path: pathOf(path), message: `as a name ${message}` }));
    case "invalid_union":
      return [{ path: pathOf(path), message: issue.errors.every(([first]) => isMissing(first)) ? "is missing" : "must be a text or a list of texts" }];
    default:
      return [{ path: pathOf(path), message: issue.message }];
  }
}

function isMissing(issue: z.core.$ZodIssue | undefined): boolean {
  return issue?.code === "invalid_type" && issue.message.endsWith("received undefined");
}

function article(type: string): string {
  const words: Readonly<Record<string, string>> = { object: "a mapping", record: "a mapping", array: "a list", string: "a text", int: "a whole number" };
  return words[type] ?? `a ${type}`;
}

function pathOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => (typeof key === "number" ? `${text}[${key}]` : text === "" ? String(key) : `${text}.${String(key)}`), "");
}

function failure(file: string, problems: readonly Problem[]): BearerswapError {
  const lines = [...new Set(problems.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`)))];
  const count = lines.length === 1 ? "1 problem" : `${lines.length} problems`;
  return new BearerswapError("config", `${file}: ${count}\n${lines.map((line) => `  ${line}`).join("\n")}`);
}

/** The parser's words and place without what it quotes of the file, which may be a secret. */
function withoutQuote(message: string): string {
  const [line = ""] = message.split("\n", 1);
  return line.replace(/:$/, "").replace(/: .*( at line \d+, column \d+)$/, "$1");
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || value instanceof Secret) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}
