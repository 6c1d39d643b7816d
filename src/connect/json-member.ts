/** Strings, punctuation, and runs of anything else. Each character is looked at once. */
const tokens = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{}:,]|[^\s"[\]{}:,]+/g;

/**
 * The text of a member's value as it stands in a JSON object, where that value is no object and no list: `1e2` stays
 * `1e2`, and digits that no number of JavaScript holds stay as they are. Of several members of that name the last
 * counts, as in JSON.parse.
 * @param json what JSON.parse takes for an object
 */
export function memberText(json: string, name: string): string | undefined {
  let depth = 0;
  let key: string | undefined;
  let found: string | undefined;
  for (const [text] of json.matchAll(tokens)) {
    if (text === "}" || text === "]") depth -= 1;
    else if (text === "{" || text === "[") {
      if (depth === 1 && key === name) found = undefined;
      depth += 1;
    } else if (depth !== 1 || text === ":") continue;
    else if (text === ",") key = undefined;
    else if (key === undefined) key = JSON.parse(text) as string;
    else if (key === name) found = text;
  }
  return found;
}
