import {
  type HttpRequest,
  type HttpResponse,
  type HttpServer,
  readBody,
  sendJson,
  startHttpServer,
} from "../support/http-servers.ts";

/**
 * A Kubernetes API in which there is nothing, and nothing ever happens: every list is empty, every object is missing,
 * and what is written is said to be. Enough for a control plane that takes its resources from files, and will not start
 * without a cluster.
 */
export function startEmptyKubernetes(): Promise<HttpServer> {
  return startHttpServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://cluster");
    if (request.method !== "GET") return accept(request, response);
    if (pathname === "/version") return sendJson(response, 200, { major: "1", minor: "34", gitVersion: "v1.34.0" });
    // Clients then fall back to a list and a watch.
    if (searchParams.has("sendInitialEvents")) return refuse(response, 422, "Invalid");
    if (searchParams.has("watch")) return keepOpen(response);
    return isObject(pathname) ? refuse(response, 404, "NotFound") : sendJson(response, 200, listFor(request));
  });
}

async function accept(request: HttpRequest, response: HttpResponse): Promise<void> {
  sendJson(response, 201, JSON.parse(await readBody(request)));
}

function refuse(response: HttpResponse, code: number, reason: string): void {
  sendJson(response, code, { kind: "Status", apiVersion: "v1", status: "Failure", reason, code });
}

function keepOpen(response: HttpResponse): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.flushHeaders();
}

/** Whether a path names one object, as in `/api/v1/namespaces/NAMESPACE/configmaps/NAME`, rather than all of a kind. */
function isObject(pathname: string): boolean {
  const [, ...path] = pathname.replace(/^\/api\/v1|^\/apis\/[^/]+\/[^/]+/, "").split("/");
  const [first, , ...within] = path;
  return (first === "namespaces" && within.length > 0 ? within : path).length === 2;
}

function listFor({ headers }: HttpRequest): object {
  const isPartial = headers.accept?.includes("PartialObjectMetadata") === true;
  const kind = isPartial ? { kind: "PartialObjectMetadataList", apiVersion: "meta.k8s.io/v1" } : {};
  return { ...kind, metadata: { resourceVersion: "1" }, items: [] };
}
