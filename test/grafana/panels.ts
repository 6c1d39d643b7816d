/** What a panel shows, and what an operator has to know of it. */
export interface Panel {
  readonly title: string;
  /** What it is, and what a bad value means. */
  readonly says: string;
  /** The page of docs/ to open then, with its section. */
  readonly open: string;
  readonly unit: string;
  readonly queries: readonly Query[];
  /** `now`: one number, for a glance. `time`: lines. */
  readonly kind: "now" | "time";
  /** Values from which on it is yellow and red, upwards; `under` for a value that is bad where it is lower. */
  readonly bad?: { readonly from?: readonly [warning: number, bad: number]; readonly under?: number };
  /** Words for values. */
  readonly words?: Readonly<Record<string, string>>;
  /** Lines are stacked. */
  readonly isStacked?: boolean;
}

export interface Query {
  readonly expr: string;
  /** The name of a line, with `{{label}}`. */
  readonly legend: string;
}

/** Panels under a heading. */
export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

const datasource = { type: "prometheus", uid: "${datasource}" };
const sizes = { now: { w: 4, h: 5 }, time: { w: 8, h: 8 } } as const;
const width = 24;

/** Rows and panels in Grafana's JSON, from left to right and from top to bottom. */
export function layOut(rows: readonly Row[]): readonly object[] {
  let id = 0;
  let top = 0;
  return rows.flatMap(({ title, panels }) => {
    const heading = { type: "row", title, collapsed: false, panels: [] };
    const laid: object[] = [{ id: ++id, ...heading, gridPos: { x: 0, y: top++, w: width, h: 1 } }];
    let [x, height] = [0, 0];
    for (const panel of panels) {
      const { w, h } = sizes[panel.kind];
      if (x + w > width) [x, top, height] = [0, top + height, 0];
      laid.push({ id: ++id, ...drawn(panel), gridPos: { x, y: top, w, h } });
      x += w;
      height = Math.max(height, h);
    }
    top += height;
    return laid;
  });
}

function drawn(panel: Panel): object {
  const { title, says, open, kind, queries } = panel;
  return {
    type: kind === "now" ? "stat" : "timeseries",
    title,
    description: `${says}\n\nMore: ${open}`,
    datasource,
    fieldConfig: { defaults: kind === "now" ? nowField(panel) : timeField(panel), overrides: [] },
    options: kind === "now" ? nowOptions : timeOptions,
    targets: queries.map(({ expr, legend }, at) => ({
      refId: String.fromCharCode("A".charCodeAt(0) + at),
      datasource,
      editorMode: "code",
      expr,
      legendFormat: legend,
      instant: kind === "now",
      range: kind === "time",
    })),
  };
}

function commonField({ unit, bad = {}, words }: Panel): object {
  const mappings =
    words === undefined
      ? []
      : [
          {
            type: "value",
            options: Object.fromEntries(Object.entries(words).map(([value, text]) => [value, { text }])),
          },
        ];
  return { unit, min: 0, mappings, thresholds: { mode: "absolute", steps: stepsOf(bad) } };
}

function stepsOf({ from, under }: NonNullable<Panel["bad"]>): readonly object[] {
  if (under !== undefined) return [step("red", null), step("green", under)];
  if (from === undefined) return [step("green", null)];
  const [warning, bad] = from;
  return [step("green", null), ...(warning < bad ? [step("yellow", warning)] : []), step("red", bad)];
}

const step = (color: string, value: number | null) => ({ color, value });

function nowField(panel: Panel): object {
  return { ...commonField(panel), color: { mode: "thresholds" } };
}

function timeField(panel: Panel): object {
  const { bad, isStacked = false } = panel;
  const custom = {
    drawStyle: "line",
    lineWidth: 1,
    fillOpacity: isStacked ? 30 : 0,
    showPoints: "never",
    stacking: { mode: isStacked ? "normal" : "none", group: "A" },
    thresholdsStyle: { mode: bad === undefined ? "off" : "dashed" },
  };
  return { ...commonField(panel), color: { mode: "palette-classic" }, custom };
}

const nowOptions = {
  colorMode: "value",
  graphMode: "none",
  justifyMode: "auto",
  orientation: "auto",
  textMode: "auto",
  reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false },
};

const timeOptions = {
  legend: { displayMode: "table", placement: "bottom", showLegend: true, calcs: ["lastNotNull", "max"] },
  tooltip: { mode: "multi", sort: "desc" },
};
