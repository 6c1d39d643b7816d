import type { z } from "zod";
import { valueAt } from "../platform/json-object.ts";
import type { ConfigDocument } from "./document.ts";
import { type Problem, pathOf } from "./problem.ts";
import { hintFor, nearest } from "./suggestions.ts";

/** What is needed beside an issue of the schema to describe it. */
interface Described {
  /** The path of the section or member; the issue's own path goes on from there. */
  readonly path: readonly PropertyKey[];
  /** What the schema was given. */
  readonly value: unknown;
  readonly document: Pick<ConfigDocument, "plainTextOf">;
}

/**
 * Describes an issue in our words. No text of the file is quoted, as it may be a secret. A number or a boolean is
 * quoted where it has to be written as a text.
 */
export function describeIssue(issue: z.core.$ZodIssue, { path: section, value, document }: Described): Problem[] {
  const path = [...section, ...issue.path];
  const given = valueAt(value, issue.path);
  const one = (message: string) => [{ path: pathOf(path), message }];
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => ({ path: pathOf([...path, key]), message: hintFor(key, path) }));
    case "invalid_type":
      if (isMissing(issue)) return one("is missing");
      if (!issue.message.startsWith("Invalid input")) return one(issue.message);
      return one(
        given === null
          ? `has no value: leave it out, or write ${article(issue.expected)}`
          : `must be ${article(issue.expected)}${remedy(issue.expected)}`,
      );
    case "invalid_value": {
      const values = issue.values.map(String);
      const meant = typeof given === "string" ? nearest(given, values) : undefined;
      const listed = values.map((one) => (/^[\w.-]+$/.test(one) ? one : JSON.stringify(one))).join(", ");
      return one(
        `must be ${issue.values.length === 1 ? "" : "one of "}${listed}${meant === undefined ? "" : `; did you mean ${meant}?`}`,
      );
    }
    case "invalid_key":
      return issue.issues.map(({ message }) => ({ path: pathOf(path), message: `as a name ${message}` }));
    case "invalid_union":
      return one(
        issue.errors.every(([first]) => isMissing(first))
          ? "is missing"
          : `must be a text or a list of texts${remedy("string")}`,
      );
    default:
      return one(issue.message);
  }

  function remedy(expected: string): string {
    if (expected === "string" && (typeof given === "number" || typeof given === "boolean")) {
      const text = document.plainTextOf(pathOf(path)) ?? String(given);
      return mayBeSecret(path) ? ": put it in quotes" : `: put it in quotes, "${text}"`;
    }
    return ["int", "number", "boolean"].includes(expected) && typeof given === "string" ? ", without quotes" : "";
  }
}

function isMissing(issue: z.core.$ZodIssue | undefined): boolean {
  return issue?.code === "invalid_type" && issue.message.endsWith("received undefined");
}

/** Values under these keys are sent to providers, and may be API keys. */
function mayBeSecret(path: readonly PropertyKey[]): boolean {
  return path.some((key) => ["parameters", "headers", "form", "json"].includes(String(key)));
}

function article(type: string): string {
  const words: Readonly<Record<string, string>> = {
    ...{ object: "a mapping", record: "a mapping", array: "a list", string: "a text" },
    ...{ int: "a whole number", boolean: "true or false" },
  };
  return words[type] ?? `a ${type}`;
}
