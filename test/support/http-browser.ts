import { type IncomingHttpHeaders, request } from "node:http";
import { text } from "node:stream/consumers";

/** What a browser shows. */
export interface ShownPage {
  readonly url: string;
  readonly status: number;
  readonly body: string;
}

/**
 * A browser without a screen, over HTTP: keeps cookies for each host, those marked Secure on loopback too, and follows
 * redirects.
 */
export interface HttpBrowser {
  /** @param edit changes an address before it is visited: the user picks an account, say */
  visit(url: string, edit?: (url: URL) => void): Promise<ShownPage>;
  /** Fills in the page's first form, which is sent by POST, and goes on. @throws where the page has none */
  submit(page: ShownPage, fields: Readonly<Record<string, string>>): Promise<ShownPage>;
  /** Drops the cookies of a URL's origin. */
  forget(url: string): void;
  /** A cookie's value at the origin of a URL. */
  cookie(url: string, name: string): string | undefined;
}

/** Longer than Envoy waits for anything. */
const timeoutMs = 30_000;

export function createHttpBrowser(): HttpBrowser {
  const jars = new Map<string, Map<string, string>>();

  function jarOf({ origin }: URL): Map<string, string> {
    const jar = jars.get(origin) ?? new Map<string, string>();
    jars.set(origin, jar);
    return jar;
  }

  async function go(start: URL, edit: (url: URL) => void, form?: URLSearchParams): Promise<ShownPage> {
    let url = start;
    let sent = form;
    for (let hops = 0; hops < 20; hops++) {
      edit(url);
      const jar = jarOf(url);
      const { status, headers, body } = await navigate(
        url,
        [...jar].map(([name, value]) => `${name}=${value}`).join("; "),
        sent,
      );
      sent = undefined;
      for (const cookie of headers["set-cookie"] ?? []) {
        const [pair = ""] = cookie.split(";");
        jar.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
      }
      if (headers.location === undefined) return { url: url.href, status, body };
      url = new URL(headers.location, url);
    }
    throw new Error(`${start.href} redirects without end`);
  }

  return {
    forget: (url) => void jars.delete(new URL(url).origin),
    cookie: (url, name) => jarOf(new URL(url)).get(name),
    visit: (url, edit = () => {}) => go(new URL(url), edit),
    async submit({ url, status, body }, fields) {
      const [form] = /<form [^>]*>/.exec(body) ?? [];
      if (form === undefined)
        throw new Error(`${url.split("?")[0]} answered ${status}, with no form: ${body.slice(0, 200)}`);
      const [, action = ""] = /action="([^"]*)"/.exec(form) ?? [];
      return go(new URL(action, url), () => {}, new URLSearchParams(fields));
    },
  };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** One request as a browser's own. `fetch` would add that it is a script's. */
function navigate(url: URL, cookie: string, form: URLSearchParams | undefined): Promise<Answer> {
  const sent = form === undefined ? {} : { origin: url.origin, "content-type": "application/x-www-form-urlencoded" };
  const headers = { accept: "text/html", "sec-fetch-mode": "navigate", ...(cookie === "" ? {} : { cookie }), ...sent };
  return new Promise((resolve, reject) => {
    const method = form === undefined ? "GET" : "POST";
    request(url, { method, headers, agent: false, signal: AbortSignal.timeout(timeoutMs) }, (response) => {
      text(response).then(
        (body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        reject,
      );
    })
      .on("error", reject)
      .end(form?.toString());
  });
}
