import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { anchorsOf, pageAt, pages } from "../docs/pages.ts";
import { findAll } from "../envoy/examples.ts";
import { createDashboards, dashboardFiles, leftOut } from "./dashboards.ts";
import { readShapes } from "./shapes.ts";

const dir = join(import.meta.dirname, "../../envoy/grafana");
const files = await dashboardFiles();
const shapes = await readShapes();
const { dashboards, used } = createDashboards(shapes);

interface Drawn {
  readonly type: string;
  readonly title: string;
  readonly description: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
}
const panelsOf = (panels: readonly object[]) => (panels as readonly Drawn[]).filter(({ type }) => type !== "row");

test("envoy/grafana/ has what the metrics' definitions lead to: run `npm run generate` after a change", () => {
  expect(readdirSync(dir).sort()).toEqual(Object.keys(files).sort());
  for (const [name, text] of Object.entries(files)) expect(readFileSync(join(dir, name), "utf8"), name).toBe(text);
});

test("every metric of ours is on a panel, or on the list of those left out", () => {
  const ours = [...shapes.keys()].filter((name) => name.startsWith("bearerswap_"));
  expect(ours.filter((name) => !used.has(name))).toEqual(Object.keys(leftOut));
});

test("nothing can be written from a metric, a label or a word of a label that is gone", () => {
  const without = (
    change: (gone: Map<string, typeof shapes extends ReadonlyMap<string, infer S> ? S : never>) => void,
  ) => {
    const changed = new Map(shapes);
    change(changed);
    return () => createDashboards(changed);
  };
  for (const name of used)
    expect(
      without((all) => all.delete(name)),
      name,
    ).toThrow(`${name}`);
  const logins = shapes.get("bearerswap_logins_total");
  const labels = (upstream: string, results: readonly string[]) =>
    new Map([
      [upstream, new Set(["crm"])],
      ["result", new Set(results)],
    ]);
  expect(
    without((all) => all.set("bearerswap_logins_total", { type: "gauge", labels: logins?.labels ?? new Map() })),
  ).toThrow("there is no counter bearerswap_logins_total");
  expect(
    without((all) =>
      all.set("bearerswap_logins_total", { type: "counter", labels: labels("api", ["failed", "connected"]) }),
    ),
  ).toThrow("bearerswap_logins_total has no label upstream");
  expect(
    without((all) =>
      all.set("bearerswap_logins_total", { type: "counter", labels: labels("upstream", ["connected"]) }),
    ),
  ).toThrow('bearerswap_logins_total has no series with result="failed"');
});

describe.each(dashboards.map((dashboard) => [dashboard.title, dashboard] as const))("%s", (_, { panels }) => {
  test("says of every panel what it means, and which section to open", () => {
    for (const { title, description } of panelsOf(panels)) {
      const [says = "", open = ""] = description.split("\n\nMore: ");
      expect(says, title).toMatch(/^\S.{40,}[.]$/s);
      const [path = "", anchor] = open.split("#");
      expect(
        pages.map((page) => page.path),
        title,
      ).toContain(path);
      if (anchor !== undefined) expect([...anchorsOf(pageAt(path))], `${title}: ${open}`).toContain(anchor);
    }
  });

  test("has titles once, ids once, and no panel over another or beyond the edge", () => {
    const titles = panelsOf(panels).map(({ title }) => title);
    expect(titles).toEqual([...new Set(titles)]);
    const ids = panels.map((panel) => (panel as unknown as { id: number }).id);
    expect(ids).toEqual([...new Set(ids)]);
    const cells = (panels as readonly Drawn[]).flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_cell, at) => `${x + (at % w)},${y + Math.floor(at / w)}`),
    );
    expect(cells.length).toBe(new Set(cells).size);
    expect(cells.map((cell) => Number(cell.split(",")[0])).every((x) => x < 24)).toBe(true);
  });

  test("asks the chosen data source, and looks at the chosen jobs and instances alone", () => {
    const sources = findAll<{ uid: string }>(panels, "datasource").map(({ uid }) => uid);
    expect(new Set(sources)).toEqual(new Set(["${datasource}"]));
    for (const expr of findAll<string>(panels, "expr"))
      for (const [selector] of expr.matchAll(/\{[^}]*\}/g))
        expect(selector, expr).toMatch(/^\{job=~"\$job", instance=~"\$instance"/);
  });
});
