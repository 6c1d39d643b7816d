import { once } from "node:events";
import { connect } from "node:http2";
import { expect, test } from "vitest";
import { resources } from "./resources.ts";
import { startUpstreamApi } from "./upstream-api.ts";

const { use, onStop } = resources();

test("serves HTTP/1.1 and HTTP/2 on one port, and records what came", async () => {
  const api = await use(startUpstreamApi({ accepts: (token) => token === "good" }));
  expect((await fetch(`${api.url}/one`, { headers: { authorization: "Bearer good" } })).status).toBe(200);

  const session = connect(api.url);
  onStop(() => session.destroy());
  const stream = session.request({ ":path": "/two", authorization: "Bearer bad" });
  const [headers] = await once(stream, "response");
  expect(headers[":status"]).toBe(401);

  expect(api.requests.map(({ method, path, status }) => ({ method, path, status }))).toEqual([
    { method: "GET", path: "/one", status: 200 },
    { method: "GET", path: "/two", status: 401 },
  ]);
  expect(api.requests[0]?.rawHeaders).toContain("Bearer good");
});

test("refuses two bearers in one request", async () => {
  const api = await use(startUpstreamApi({ accepts: () => true }));
  const headers: [string, string][] = [
    ["authorization", "Bearer a"],
    ["authorization", "Bearer b"],
  ];
  expect((await fetch(api.url, { headers })).status).toBe(401);
});
