/** A metric as an expression names it: one series selector. */
export interface Selector {
  readonly metric: string;
  /** Each label with the values that are asked for, or excluded. */
  readonly matchers: readonly { readonly label: string; readonly values: readonly string[] }[];
}

/**
 * What a PromQL expression says of metrics and labels. No full parser: enough for rules, and it throws where it cannot
 * tell.
 */
export interface Expression {
  readonly selectors: readonly Selector[];
  /** Labels that results are grouped, or matched, by. */
  readonly groupings: readonly string[];
}

const groupingClause = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;
const selector = /\b([a-zA-Z_:][\w:]*)\b(?!\s*\()(?:\s*\{([^}]*)\})?/g;
const matcher = /^\s*(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"\s*$/;
const keywords = new Set(["and", "or", "unless", "offset", "bool"]);
const duration = /\b\d+(?:ms|[smhdwy])\b/g;

export function readExpression(text: string): Expression {
  const groupings = [...text.matchAll(groupingClause)].flatMap(([, labels = ""]) =>
    labels.split(",").map((label) => label.trim()),
  );
  const rest = text.replace(groupingClause, " ").replace(duration, " ");
  const names = [...rest.matchAll(selector)].filter(([, metric = ""]) => !keywords.has(metric));
  return {
    groupings,
    selectors: names.map(([, metric = "", matchers = ""]) => ({ metric, matchers: readMatchers(matchers) })),
  };
}

function readMatchers(text: string): Selector["matchers"] {
  if (text.trim() === "") return [];
  return text.split(",").map((part) => {
    const [, label, operator, value] = matcher.exec(part) ?? [];
    if (label === undefined || value === undefined) throw new Error(`no label matcher: ${part}`);
    if (operator?.includes("~") && !/^\w+(?:\|\w+)*$/.test(value))
      throw new Error(`more than a choice of words: ${part}`);
    return { label, values: operator?.includes("~") ? value.split("|") : [value] };
  });
}
