import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";

/**
 * A fetch for clients' metadata documents (draft-ietf-oauth-client-id-metadata-document). The ids name hosts that exist
 * in no test: each is asked, by its own host name, of the plain http server at `at`, such as an Envoy.
 */
export function fetchDocumentsAt(at: string): (id: string | URL) => Promise<Response> {
  return async (id) => {
    const { host, pathname, search } = new URL(id);
    const request = httpRequest(new URL(`${pathname}${search}`, at), { headers: { host, accept: "application/json" } });
    const [response] = (await once(request.end(), "response")) as [IncomingMessage];
    const fields = Object.entries(response.headers).map(([name, value]): [string, string] => [name, String(value)]);
    return new Response(await text(response), { status: response.statusCode ?? 500, headers: fields });
  };
}
