import { describe, expect, test } from "vitest";
import { configJsonSchema } from "../../src/config/schema.ts";
import { configurationPage, mappingsIn, mappingsOf, type Schema } from "./configuration-page.ts";
import { blocksOf, documentsIn, pageAt } from "./pages.ts";

const schema = configJsonSchema() as Schema;
const page = pageAt("docs/configuration.md");

describe("docs/configuration.md", () => {
  test("has the tables of what the program knows: run `npm run generate` after a change of the configuration", () => {
    expect(page.text).toBe(configurationPage(page.text, schema));
  });

  test("has a table of every mapping, once", () => {
    expect(mappingsIn(page.text).sort()).toEqual([...mappingsOf(schema).keys()].sort());
  });

  test("says of every key what it means", () => {
    const silent = [...mappingsOf(schema)].flatMap(([path, { properties = {} }]) =>
      Object.entries(properties).flatMap(([key, { description }]) =>
        description === undefined || !/^[A-Z0-9`].*[.…]$/s.test(description) ? [`${path}.${key}: ${description}`] : [],
      ),
    );
    expect(silent).toEqual([]);
  });

  test("shows every key in an example", () => {
    const shown = new Set(blocksOf(page, "yaml").flatMap((block) => keysOf(documentsIn(block)[0], schema, "")));
    const all = [...mappingsOf(schema)].flatMap(([path, { properties = {} }]) =>
      Object.keys(properties).map((key) => joined(path, key)),
    );
    expect(all.length).toBeGreaterThan(130);
    // ToolHive's Redis has the same keys.
    const shownAs = (key: string) => key.replace(/^store\.toolhive\.redis\./, "store.redis.");
    expect(all.filter((key) => !shown.has(shownAs(key)))).toEqual([]);
  });
});

/** The paths of the keys that a configuration has, as {@link mappingsOf} writes them. */
function keysOf(
  value: unknown,
  { properties, items = {}, additionalProperties, anyOf = [] }: Schema,
  path: string,
): string[] {
  const others = anyOf.flatMap((alternative) => keysOf(value, alternative, path));
  if (Array.isArray(value)) return [...others, ...value.flatMap((item) => keysOf(item, items, `${path}[]`))];
  if (typeof value !== "object" || value === null) return others;
  return [
    ...others,
    ...Object.entries(value).flatMap(([key, inner]) => {
      const own = properties?.[key];
      if (own !== undefined) return [joined(path, key), ...keysOf(inner, own, joined(path, key))];
      return typeof additionalProperties === "object" ? keysOf(inner, additionalProperties, `${path}.NAME`) : [];
    }),
  ];
}

function joined(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}
