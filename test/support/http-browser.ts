/** What a browser shows. */
export interface ShownPage {
  readonly url: string;
  readonly status: number;
  readonly body: string;
}

/** A browser without a screen, over HTTP: keeps cookies for each host, those marked Secure on loopback too, and follows redirects. */
export interface HttpBrowser {
  /** @param edit changes an address before it is visited: the user picks an account, say */
  visit(url: string, edit?: (url: URL) => void): Promise<ShownPage>;
  /** A cookie's value at the origin of a URL. */
  cookie(url: string, name: string): string | undefined;
}

export function createHttpBrowser(): HttpBrowser {
  const jars = new Map<string, Map<string, string>>();

  function jarOf({ origin }: URL): Map<string, string> {
    const jar = jars.get(origin) ?? new Map<string, string>();
    jars.set(origin, jar);
    return jar;
  }

  return {
    cookie: (url, name) => jarOf(new URL(url)).get(name),
    async visit(start, edit = () => {}) {
      let url = new URL(start);
      for (let hops = 0; hops < 20; hops++) {
        edit(url);
        const jar = jarOf(url);
        const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
        const headers = { accept: "text/html", "sec-fetch-mode": "navigate", ...(cookie === "" ? {} : { cookie }) };
        const response = await fetch(url, { redirect: "manual", headers });
        for (const text of response.headers.getSetCookie()) {
          const [pair = ""] = text.split(";");
          jar.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
        }
        const location = response.headers.get("location");
        if (location === null) return { url: url.href, status: response.status, body: await response.text() };
        await response.body?.cancel();
        url = new URL(location, url);
      }
      throw new Error(`${start} redirects without end`);
    },
  };
}
