import { Client, credentials } from "@grpc/grpc-js";
import type { LoadRequest, LoadTarget } from "./load-generator.ts";
import { browserCallHeaders, checkMethodPath, envoyCallHeaders } from "./requests.ts";

/** As many as an Envoy with four workers has to its Check service. */
const connections = 4;
const inFlight = 64;

/** A Check service, called as Envoy calls it. */
export function checkTarget(port: number, requests: readonly LoadRequest[]): LoadTarget {
  return { host: "127.0.0.1", port, expect: "check-ok", connections, inFlight, headers: envoyCallHeaders, requests };
}

/** A listener of Envoy, called as a browser or a proxy before it calls it, over HTTP/2. */
export function envoyTarget(port: number, requests: readonly LoadRequest[]): LoadTarget {
  return { host: "127.0.0.1", port, expect: "http-200", connections, inFlight, headers: browserCallHeaders, requests };
}

/** The encoded answer to one request. */
export function answerTo(port: number, { body = Buffer.alloc(0) }: LoadRequest): Promise<Buffer> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const identity = (bytes: Buffer) => bytes;
  const withoutPrefix = body.subarray(5);
  return new Promise<Buffer>((resolve, reject) => {
    client.makeUnaryRequest(checkMethodPath, identity, identity, withoutPrefix, (error, answer) =>
      error === null && answer !== undefined ? resolve(answer) : reject(error),
    );
  }).finally(() => client.close());
}
