import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";

export const root = join(import.meta.dirname, "../..");

/** A page of the documentation. */
export interface Page {
  /** From the repository's root. */
  readonly path: string;
  readonly text: string;
}

export const pages: readonly Page[] = [
  ...["README.md", "CONTRIBUTING.md"],
  ...readdirSync(join(root, "docs")).flatMap((name) => (name.endsWith(".md") ? [`docs/${name}`] : [])),
].map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));

export function pageAt(path: string): Page {
  const page = pages.find((candidate) => candidate.path === path);
  if (page === undefined) throw new Error(`there is no page ${path}`);
  return page;
}

/** A block of code in a page. */
export interface Block {
  readonly page: string;
  /** The line that it begins on, from 1. */
  readonly line: number;
  readonly language: string;
  /** Without the indentation that it has in a list. */
  readonly text: string;
}

const fenced = /^( *)```(\w*)\n(.*?)^ *```$/gms;

export function blocksOf({ path, text }: Page, language: string): Block[] {
  return [...text.matchAll(fenced)].flatMap(({ 1: indent = "", 2: name = "", 3: body = "", index }) =>
    name === language
      ? [
          {
            page: path,
            line: text.slice(0, index).split("\n").length,
            language: name,
            text: body.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
          },
        ]
      : [],
  );
}

/** The page without its blocks of code. */
export function proseOf({ text }: Page): string {
  return text.replaceAll(fenced, "");
}

/** What a block of YAML holds, each of its documents. */
export function documentsIn({ text, page, line }: Block): unknown[] {
  return parseAllDocuments(text).map((document) => {
    if ("errors" in document && document.errors.length > 0)
      throw new Error(`${page}:${line}: ${document.errors.map(({ message }) => message).join("; ")}`);
    return (document as { toJS(): unknown }).toJS();
  });
}

/** The anchors that a page's headings have on GitHub. */
export function anchorsOf(page: Page): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const [, heading = ""] of proseOf(page).matchAll(/^#{1,6} (.+)$/gm)) {
    const slug = heading
      .replaceAll(/\[([^\]]+)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(/\s/g, "-");
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}
