/** Strings, punctuation, and runs of anything else. Each character is looked at once. */
const tokens = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{}:,]|[^\s"[\]{}:,]+/g;

/**
 * The text of a member's value in a JSON object, exactly as it is written there, unless the value is an object or a
 * list. So `1e2` stays `1e2`, and a number with more digits than JavaScript can hold keeps them. If several members
 * have that name the last one counts, as in JSON.parse.
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

/**
 * The texts of a JSON list's elements, exactly as they are written there.
 * @param json what JSON.parse takes for a list
 */
export function elementTexts(json: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let from = json.indexOf("[") + 1;
  for (const { 0: text, index } of json.matchAll(tokens)) {
    if (text === "[" || text === "{") depth += 1;
    if (depth === 1 && (text === "," || text === "]")) {
      found.push(json.slice(from, index).trim());
      from = index + 1;
    }
    if (text === "]" || text === "}") depth -= 1;
  }
  return found.length === 1 && found[0] === "" ? [] : found;
}
