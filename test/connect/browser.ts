import { type HttpRequestOptions, httpRequest } from "../support/check-request.ts";
import type { CheckResponse, ExtAuthzClient } from "../support/ext-authz-client.ts";

/** Where browsers find Envoy in these tests. Nobody listens there: requests go to Check as Envoy would send them. */
export const publicUrl = "https://gateway.example.com";
export const prefix = `${publicUrl}/_bearerswap/`;

/** What a browser gets to see. */
export interface Page {
  readonly url: string;
  readonly status: number;
  /** Names in lower case; several of one name in order. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  readonly body: string;
}

const statusCodes: Readonly<Record<string, number>> = {
  ...{ OK: 200, Accepted: 202, Found: 302, SeeOther: 303, BadRequest: 400, Unauthorized: 401, Forbidden: 403 },
  ...{ NotFound: 404, MethodNotAllowed: 405, TooManyRequests: 429, ServiceUnavailable: 503 },
};

/** A browser that keeps cookies for each origin and follows redirects between Check and providers. */
export interface TestBrowser {
  /** Cookies of the gateway, by name. */
  readonly cookies: Map<string, string>;
  /** Drops the cookies of another site. */
  forget(origin: string): void;
  /** One request, redirects not followed. */
  request(url: string, options?: BrowserRequest): Promise<Page>;
  /** Goes there and on, until a page is shown or `until` holds for the next address, which is then not visited. */
  visit(url: string, options?: BrowserRequest & { until?: (url: URL) => boolean }): Promise<Page>;
}

export interface BrowserRequest extends Pick<HttpRequestOptions, "method" | "headers" | "host" | "body"> {
  /** Changes an address at a provider before it is visited: the user picks an account, say. */
  readonly edit?: (url: URL) => void;
}

export function createBrowser(client: ExtAuthzClient, replica: () => ExtAuthzClient = () => client): TestBrowser {
  const gateway = new Map<string, string>();
  const jars = new Map<string, Map<string, string>>([[publicUrl, gateway]]);

  async function request(
    address: string,
    { method = "GET", headers = {}, host, body = "", edit }: BrowserRequest = {},
  ): Promise<Page> {
    const url = new URL(address);
    if (url.origin !== publicUrl) edit?.(url);
    const jar = jars.get(url.origin) ?? new Map<string, string>();
    jars.set(url.origin, jar);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const sent = {
      accept: "text/html",
      "sec-fetch-mode": "navigate",
      ...(cookie === "" ? {} : { cookie }),
      ...headers,
    };
    const page =
      url.origin === publicUrl
        ? await check({ method, host: host ?? url.host, headers: sent, body }, url)
        : await atProvider(url, cookie);
    for (const text of page.headers.get("set-cookie") ?? []) keep(jar, text);
    return page;
  }

  async function check(options: HttpRequestOptions, url: URL): Promise<Page> {
    return pageOf(
      url.href,
      await replica().check(
        httpRequest({
          ...options,
          path: `${url.pathname}${url.search}`,
          contextExtensions: { upstream: "crm" },
        }),
      ),
    );
  }

  return {
    cookies: gateway,
    forget: (origin) => void jars.delete(origin),
    request,
    async visit(address, { until = () => false, ...options } = {}) {
      let page = await request(address, options);
      for (let hops = 0; hops < 20; hops++) {
        const [location] = page.headers.get("location") ?? [];
        if (location === undefined) return page;
        const next = new URL(location, page.url);
        if (until(next)) return { ...page, url: next.href };
        page = await request(next.href, { ...options, method: "GET", headers: {}, body: "" });
      }
      throw new Error(`${address} redirects without end`);
    },
  };
}

export function pageOf(url: string, { ok_response: ok, denied_response: denied }: CheckResponse): Page {
  const headers = new Map<string, string[]>();
  for (const { header } of (ok ?? denied)?.headers ?? [])
    headers.set(header.key, [...(headers.get(header.key) ?? []), header.value]);
  const status = ok === undefined ? statusCodes[denied?.status?.code ?? ""] : 200;
  if (status === undefined) throw new Error(`unexpected status ${denied?.status?.code}`);
  return { url, status, headers, body: denied?.body ?? "let through" };
}

async function atProvider(url: URL, cookie: string): Promise<Page> {
  const response = await fetch(url, { redirect: "manual", headers: { cookie } });
  const headers = new Map(
    [...response.headers.keys()].map((name) => [
      name,
      name === "set-cookie" ? response.headers.getSetCookie() : [response.headers.get(name) ?? ""],
    ]),
  );
  return { url: url.href, status: response.status, headers, body: await response.text() };
}

function keep(jar: Map<string, string>, text: string): void {
  const [pair = ""] = text.split(";");
  const at = pair.indexOf("=");
  if (/; Max-Age=0(;|$)/.test(text)) jar.delete(pair.slice(0, at));
  else jar.set(pair.slice(0, at), pair.slice(at + 1));
}

/** What a page says, without its markup. */
export function textOf({ body }: Page): string {
  return body
    .replace(/<style>.*?<\/style>/s, "")
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ")
    .trim();
}
