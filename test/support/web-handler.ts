import { Readable } from "node:stream";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import { type HttpRequest, type HttpResponse, readBody } from "./http-servers.ts";

/** The request as a web standard one, for handlers that take such. */
export async function webRequest(request: HttpRequest, origin = "http://127.0.0.1"): Promise<Request> {
  const { method = "GET", url = "/", headers } = request;
  const body = method === "GET" ? undefined : await readBody(request);
  const pairs = Object.entries(headers).filter(
    (pair): pair is [string, string] => typeof pair[1] === "string" && !pair[0].startsWith(":"),
  );
  return new Request(`${origin}${url}`, { method, headers: pairs, ...(body === undefined ? {} : { body }) });
}

/** Answers with a web standard response, piece by piece. */
export function answerWith(response: HttpResponse, result: Response): void {
  const { connection, ...headers } = Object.fromEntries(result.headers);
  response.writeHead(result.status, headers);
  if (result.body === null) response.end();
  else Readable.fromWeb(result.body as NodeReadableStream).pipe(response as NodeJS.WritableStream);
}
