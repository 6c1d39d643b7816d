import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createNetServer } from "node:net";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { createFetchFor } from "../../src/platform/fetch-for.ts";
import { NotSentError } from "../../src/platform/not-sent.ts";
import { resources } from "../support/resources.ts";

const opened = resources();
const fetch = createFetchFor({})(undefined);

/** A server that answers as told, and what it was asked. */
async function serving(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const requests: { method: string | undefined; headers: IncomingMessage["headers"]; body: string }[] = [];
  const server = createServer(async (request, response) => {
    requests.push({ method: request.method, headers: request.headers, body: await text(request) });
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  opened.onStop(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token?x=1`, requests };
}

test("sends a form as one, names itself, and asks for no compressed answer", async () => {
  const { url, requests } = await serving((_, response) => response.end("{}"));
  await fetch(url, { method: "POST", headers: { "X-Extra": "1" }, body: new URLSearchParams({ a: "b c" }) });
  expect(requests).toMatchObject([
    {
      method: "POST",
      body: "a=b+c",
      headers: {
        "content-type": "application/x-www-form-urlencoded;charset=UTF-8",
        "accept-encoding": "identity",
        "user-agent": expect.stringMatching(/^bearerswap\//),
        "x-extra": "1",
      },
    },
  ]);
});

test("gives status, fields and text; follows no redirect, which would carry a token elsewhere", async () => {
  const { url, requests } = await serving((_, response) => {
    response.writeHead(302, { location: "/elsewhere", "x-two": ["a", "b"] });
    response.end("moved €");
  });
  const answer = await fetch(url);
  expect([answer.status, answer.ok, answer.url, await answer.text(), requests.length]).toEqual([
    302,
    false,
    url,
    "moved €",
    1,
  ]);
  expect([answer.headers.get("Location"), answer.headers.get("x-two"), answer.headers.get("x-none")]).toEqual([
    "/elsewhere",
    "a, b",
    null,
  ]);
});

test("reads no answer without end", async () => {
  const { url } = await serving((_, response) => {
    const more = () => response.write(Buffer.alloc(65_536), (error) => !error && setImmediate(more));
    more();
  });
  await expect(fetch(url)).rejects.toThrow("the answer is longer than 1048576 bytes");
});

test("ends with its signal's reason: before it is sent, and while nothing comes", async () => {
  const { url, requests } = await serving(() => {});
  await expect(fetch(url, { signal: AbortSignal.abort("too late") })).rejects.toThrow("too late");
  expect(requests).toEqual([]);
  await expect(fetch(url, { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({ name: "TimeoutError" });
});

test("an answer that has no body by its status has none, and a refused connection has a code", async () => {
  const { url } = await serving((_, response) => response.writeHead(204).end());
  expect(await (await fetch(url)).text()).toBe("");
  await expect(fetch("http://127.0.0.1:1/")).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

test("ends with its signal also while there is no connection yet, and nothing is sent afterwards", async () => {
  const silent = createNetServer();
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  opened.onStop(() => void silent.close());
  const { port } = silent.address() as AddressInfo;
  const received: Buffer[] = [];
  silent.on("connection", (socket) => {
    opened.onStop(() => void socket.destroy());
    socket.on("data", (chunk) => received.push(chunk));
  });
  const startedAt = performance.now();
  const refused = fetch(`https://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(200) });
  await expect(refused).rejects.toMatchObject({ name: "TimeoutError" });
  await expect(refused).rejects.toBeInstanceOf(NotSentError);
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  expect(Buffer.concat(received).includes("GET")).toBe(false);
});

test("takes the first of several Retry-After fields", async () => {
  const { url } = await serving((_, response) =>
    response.writeHead(503, ["retry-after", "5", "retry-after", "7"]).end(),
  );
  expect((await fetch(url)).headers.get("retry-after")).toBe("5");
});
