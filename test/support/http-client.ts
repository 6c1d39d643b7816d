import { request } from "node:http";
import { connect } from "node:http2";
import { text } from "node:stream/consumers";

/** An answer; header names lower-case. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** Header values; several of one name go out as several header lines. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[]>>;

/** One GET over HTTP/1.1. The path goes out as it is, which `fetch` would not do. */
export function get(port: number, path: string, headers: RequestHeaders = {}): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const values = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, typeof value === "string" ? value : [...value]]),
    );
    request({ host: "127.0.0.1", port, path, headers: values, agent: false }, (response) => {
      text(response).then(
        (body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        reject,
      );
    })
      .on("error", reject)
      .end();
  });
}

/** A client that means harm sends twice what may be there once. The type definitions do not know the option yet. */
const lenient: object = { strictSingleValueFields: false };

/** One GET over HTTP/2 without TLS. */
export function get2(port: number, path: string, headers: RequestHeaders = {}): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://127.0.0.1:${port}`, lenient);
    session.on("error", reject);
    const values = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, typeof value === "string" ? value : [...value]]),
    );
    const stream = session.request({ ":path": path, ...values });
    stream.on("error", reject);
    stream.on("response", ({ ":status": status = 0, ...rest }) => {
      text(stream)
        .then((body) => resolve({ status, headers: rest, body }), reject)
        .finally(() => session.close());
    });
  });
}
