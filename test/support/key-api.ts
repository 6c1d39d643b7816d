import { sendJson, startHttpServer } from "./http-servers.ts";
import type { RecordedRequest } from "./upstream-api.ts";

/** An API that takes keys: `/user` for anybody with a good one, `/admin` for nobody, all else for what may read. */
export interface KeyApi {
  readonly url: string;
  readonly port: number;
  /** Values of the header that are good. */
  readonly good: Set<string>;
  /** Oldest first. */
  readonly requests: RecordedRequest[];
  /** The answers to `/user`, oldest first. */
  readonly trials: number[];
  /** Answers `/user` with this status; undefined: as the key is. */
  status: number | undefined;
  /** Seconds that the answers to `/user` ask to wait (`Retry-After`), where they are not 200. */
  retryAfter: string | undefined;
  /** Comes before the next answer. */
  before: (() => Promise<void>) | undefined;
  /** Lets no answer to `/user` out until the function is called. */
  hold(): () => void;
  stop(): Promise<void>;
}

export async function startKeyApi({ header = "authorization" }: { readonly header?: string } = {}): Promise<KeyApi> {
  let gate = Promise.resolve();
  const requests: RecordedRequest[] = [];
  const server = await startHttpServer(async (request, response) => {
    const { method = "", url: path = "", headers, rawHeaders } = request;
    const before = api.before?.();
    const isGood = api.good.has(String(headers[header]));
    const own = isGood && path !== "/admin" ? 200 : 401;
    const status = path === "/user" ? (api.status ?? own) : own;
    requests.push({ method, path, headers, rawHeaders, status });
    if (path === "/user") {
      api.trials.push(status);
      await gate;
    }
    await before;
    const { retryAfter } = api;
    const isLater = path === "/user" && status !== 200 && retryAfter !== undefined;
    sendJson(
      response,
      status,
      { ok: status === 200 },
      {
        ...(status === 302 ? { location: `${server.url}/other` } : {}),
        ...(isLater ? { "retry-after": retryAfter } : {}),
      },
    );
  });
  const api: KeyApi = {
    ...{
      url: server.url,
      port: server.port,
      requests,
      trials: [],
      good: new Set<string>(),
      status: undefined,
      retryAfter: undefined,
      before: undefined,
    },
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      return resolve;
    },
    stop: server.stop,
  };
  return api;
}
