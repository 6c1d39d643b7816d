import { createHash } from "node:crypto";

/** Text that is HTML already. Everything else that goes into a page is escaped. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Part = Html | string | readonly Part[] | undefined;

/**
 * HTML from a template: what is put in is escaped, for text and for quoted attributes alike, unless it is HTML itself.
 */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.reduce((text, string, at) => `${text}${render(parts[at - 1])}${string}`));
}

function render(part: Part): string {
  if (part === undefined) return "";
  if (part instanceof Html) return part.text;
  return typeof part === "string" ? escaped(part) : part.map(render).join("");
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? "");
}

const style = `
:root{color-scheme:light dark;--text:#1b1f24;--soft:#57606a;--back:#f6f8fa;--card:#fff;--line:#d0d7de;--accent:#0b57d0;--on:#fff;--good:#116329;--bad:#a40e26}
@media (prefers-color-scheme:dark){:root{--text:#e6edf3;--soft:#9da7b3;--back:#0d1117;--card:#161b22;--line:#3d444d;--accent:#7cacf8;--on:#0d1117;--good:#5dd879;--bad:#ff9492}}
*{box-sizing:border-box}
body{margin:0;padding:2rem 1rem;background:var(--back);color:var(--text);font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
main{max-width:40rem;margin:0 auto}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem}
h2{font-size:1.125rem;margin:0 0 .25rem}
p{margin:0 0 1rem}
ul{list-style:none;margin:0;padding:0}
li,.card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:1rem;margin:0 0 1rem}
li p,.card p:last-of-type{margin:0 0 .75rem}
.state{font-weight:600}.good{color:var(--good)}.bad{color:var(--bad)}.soft{color:var(--soft)}
.actions{display:flex;flex-wrap:wrap;gap:.5rem}
form{margin:0}
form.card{margin:0 0 1rem}
label{display:block;font-weight:600;margin:0 0 .25rem}
input{display:block;width:100%;min-height:2.75rem;padding:.5rem .75rem;margin:0 0 1rem;border:1px solid var(--soft);border-radius:.375rem;font:inherit;background:var(--card);color:var(--text)}
a{color:var(--accent)}
.button{display:inline-block;min-height:2.75rem;padding:.5rem 1rem;border:1px solid var(--accent);border-radius:.375rem;font:inherit;line-height:1.6;text-decoration:none;cursor:pointer;background:transparent;color:var(--accent)}
.primary{background:var(--accent);color:var(--on)}
.button:hover{text-decoration:underline}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
`;

/** Nothing but what is in the page itself: no script, no other style, no frame around it. Forms go to ourselves. */
export const contentSecurityPolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'`,
  "img-src data:",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/**
 * A whole page. Without an icon of its own a browser would ask the site for one.
 *
 * @param next where the browser goes by itself. After a form that may be another site in the end, and a browser that is
 * redirected there does not go (CSP, `form-action`).
 */
export function layout(title: string, content: Html, next?: string): string {
  const refresh = next === undefined ? "" : html`<meta http-equiv="refresh" content="0;url=${next}">\n`;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title}</title>
${refresh}<link rel="icon" href="data:,">
<style>${new Html(style)}</style>
</head>
<body>
<main>
<h1>${title}</h1>
${content}
</main>
</body>
</html>
`.text;
}
