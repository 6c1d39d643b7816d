import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type YAMLError,
} from "yaml";
import { type Problem, pathOf } from "./problem.ts";

/** The file as it was written: its content, and the lines that its parts are on. */
export interface ConfigDocument {
  /** With aliases resolved. Undefined where the file is not YAML, or has an alias without its anchor. */
  readonly content: unknown;
  /**
   * What is wrong with it as YAML: the first syntax error, or every key that stands twice in one mapping. None of them
   * quotes a value, which may be a secret.
   */
  readonly problems: readonly Problem[];
  /** The line of the path, or of as much of it as there is; undefined for the file as a whole. */
  lineOf(path: string): number | undefined;
  /** How a scalar without quotes is written: `0123` is another text once it was read as a number. */
  plainTextOf(path: string): string | undefined;
}

export function readDocument(text: string): ConfigDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, { uniqueKeys: false, lineCounter: lines });
  const lineAt = (node: unknown): number | undefined => {
    const offset = (node as Node | null | undefined)?.range?.[0];
    return offset === undefined ? undefined : lines.linePos(offset).line;
  };
  const [syntaxError] = document.errors;
  if (syntaxError !== undefined) {
    const line = syntaxError.linePos?.[0].line;
    const problems = [
      {
        path: "",
        line,
        message: syntaxMessage(syntaxError, line === undefined ? "" : (text.split("\n")[line - 1] ?? "")),
      },
    ];
    return { content: undefined, problems, lineOf: () => line, plainTextOf: () => undefined };
  }
  const problems = twins(document.contents, []);
  return {
    ...contentOf(),
    lineOf: (path) => (path === "" ? undefined : lineAt(find(path)?.key)),
    plainTextOf(path) {
      const value = find(path)?.value;
      return isScalar(value) && value.type === "PLAIN" ? value.source : undefined;
    },
  };

  function contentOf(): Pick<ConfigDocument, "content" | "problems"> {
    try {
      return { content: document.toJS(), problems };
    } catch {
      // The cause's message quotes the alias, which may be a secret that begins with an asterisk.
      const message =
        "holds a YAML alias (*name) without the anchor it stands for, or far too many of them; a text that begins with * goes in quotes";
      return { content: undefined, problems: [...problems, { path: "", message }] };
    }
  }

  /** The deepest part of the path that the file has: the node of its key, and its value. */
  function find(path: string): { key: unknown; value: unknown } | undefined {
    let found: { key: unknown; value: unknown } | undefined;
    let node: unknown = document.contents;
    let rest = path;
    while (rest !== "") {
      const step = stepInto(isAlias(node) ? node.resolve(document) : node, rest);
      if (step === undefined) return { key: found?.key, value: undefined };
      found = step;
      node = step.value;
      rest = step.rest;
    }
    return found;
  }

  function twins(node: unknown, path: readonly PropertyKey[]): Problem[] {
    if (isSeq(node)) return node.items.flatMap((item, at) => twins(item, [...path, at]));
    if (!isMap(node)) return [];
    const first = new Map<string, Pair>();
    const ignoresCase = path.at(-1) === "headers";
    return node.items.flatMap((pair) => {
      const key = keyOf(pair);
      const name = ignoresCase ? key.toLowerCase() : key;
      const earlier = first.get(name);
      if (earlier === undefined) first.set(name, pair);
      const twin = {
        path: pathOf([...path, key]),
        line: lineAt(pair.key),
        message: `stands twice, on lines ${lineAt(earlier?.key)} and ${lineAt(pair.key)}: keep one of them`,
      };
      return [...(earlier === undefined ? [] : [twin]), ...twins(pair.value, [...path, key])];
    });
  }
}

/** Takes the path's next key. Of several that fit it is the longest, since names may hold dots. */
function stepInto(node: unknown, path: string): { key: unknown; value: unknown; rest: string } | undefined {
  if (isSeq(node)) {
    const [whole = "", at] = /^\[(\d+)\]/.exec(path) ?? [];
    const item = at === undefined ? undefined : node.items[Number(at)];
    return item === undefined
      ? undefined
      : { key: item, value: item, rest: path.slice(whole.length).replace(/^\./, "") };
  }
  if (!isMap(node)) return undefined;
  const fitting = node.items.filter(
    (pair) => path === keyOf(pair) || path.startsWith(`${keyOf(pair)}.`) || path.startsWith(`${keyOf(pair)}[`),
  );
  const pair = fitting.sort((a, b) => keyOf(a).length - keyOf(b).length).at(-1);
  return pair && { key: pair.key, value: pair.value, rest: path.slice(keyOf(pair).length).replace(/^\./, "") };
}

function keyOf(pair: Pair): string {
  return String(isScalar(pair.key) ? pair.key.value : pair.key);
}

/** The parser's message without what it quotes from the file, which may be a secret. */
function syntaxMessage(error: YAMLError, line: string): string {
  const [first = ""] = error.message.split("\n", 1);
  const words = first
    .replace(/:$/, "")
    .replace(/ at line (\d+), column (\d+)$/, "")
    .replace(/(?:: |; please use).*$/, "");
  const column = error.linePos === undefined ? "" : ` (column ${error.linePos[0].col})`;
  const advice = /[{,].*:\s*\$\{/.test(line) ? '; between { and } a reference goes in quotes: "${env:NAME}"' : "";
  return `is no YAML: ${words}${column}${advice}`;
}
