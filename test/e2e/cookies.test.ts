import { describe, expect, test } from "vitest";
import { get2 } from "../support/http-client.ts";
import { rawGet } from "../support/raw-http.ts";
import { resources } from "../support/resources.ts";
import { type Stack, sessionId, startStack } from "./stack.ts";

const use = resources("file");
const name = "__Host-session";
const attackers = "YXR0YWNrZXJzLW93bi1zZXNzaW9u";

/** What a site next door can make a browser send; `\x…` are bytes. */
const tossed = [
  `foo=x,${name}=${attackers}`,
  `\xe2\x80\x80${name}=${attackers}`, // U+2000
  `\xc2\xa0${name}=${attackers}`, // U+00A0
  `\xef\xbb\xbf${name}=${attackers}`, // U+FEFF
  `\xa0${name}=${attackers}`,
  `=${name}=${attackers}`,
];

/**
 * One request with that cookie header over each version of HTTP; their status, and the token and the cookies that the
 * API saw.
 */
async function ask(stack: Stack, cookie: string): Promise<{ status: number[]; cookies: unknown[] }> {
  const before = stack.api.requests.length;
  const status = [
    await rawGet(stack.port, "/items", [`cookie: ${cookie}`]),
    (await get2(stack.port, "/items", { cookie })).status,
  ];
  return { status, cookies: stack.api.requests.slice(before).map(({ headers }) => headers.cookie) };
}

describe.each([
  ["headers as text", {}],
  ["encode_raw_headers", { encode_raw_headers: true }],
])("through Envoy, with %s", (_name, extAuthz) => {
  const start = async () => {
    const stack = await startStack(use, { sessions: [{ opaque: { from: { cookie: name } } }], envoy: { extAuthz } });
    for (const id of [sessionId, attackers]) await stack.login(id);
    return stack;
  };

  test("a cookie that only looks like the session's is none: it signs nobody in, and the user not out", async () => {
    const stack = await start();
    for (const cookie of tossed) {
      expect((await ask(stack, cookie)).status, cookie).toEqual([401, 401]);
      for (const both of [`${cookie}; ${name}=${sessionId}; b=2`, `${name}=${sessionId}; ${cookie}; b=2`]) {
        const { status, cookies } = await ask(stack, both);
        expect(status, both).toEqual([200, 200]);
        for (const seen of cookies) expect(seen).not.toContain(sessionId);
      }
    }
    expect(new Set(stack.api.requests.map(({ headers }) => headers.authorization)).size).toBe(1);
  });

  test("other cookies in UTF-8 reach the API byte for byte", async () => {
    const stack = await start();
    const others = "name=J\xc3\xbcrgen \xc3\xa0; b=2";
    expect(await ask(stack, `${name}=${sessionId}; ${others}`)).toEqual({
      status: [200, 200],
      cookies: [others, others],
    });
  });
});

test("a session cookie on a line of its own is read where Envoy tells lines apart, and never reaches the API", async () => {
  for (const [extAuthz, expected] of [
    [{}, 401],
    [{ encode_raw_headers: true }, 200],
  ] as const) {
    const stack = await startStack(use, { sessions: [{ opaque: { from: { cookie: name } } }], envoy: { extAuthz } });
    await stack.login();
    expect(await rawGet(stack.port, "/items", ["cookie: a=b", `cookie: ${name}=${sessionId}`, "cookie: c=d"])).toBe(
      expected,
    );
    expect(await rawGet(stack.port, "/items", [`cookie: ${name}=${sessionId}`, "cookie: a=b"])).toBe(200);
    expect(stack.api.requests.flatMap(({ rawHeaders }) => rawHeaders).join()).not.toContain(sessionId);
  }
});

test("a cookie that is no UTF-8 is left out beside a session cookie, as no answer to Envoy can carry it, and passes where there is none", async () => {
  const sessions = [{ opaque: { from: { header: "x-session" } } }, { opaque: { from: { cookie: name } } }].map(
    (source, at) => ({ name: `s${at}`, ...source }),
  );
  const stack = await startStack(use, { sessions, envoy: { extAuthz: { encode_raw_headers: true } } });
  const { provider } = stack;
  const { access_token: accessToken } = await provider.login();
  const token = { accessToken, refreshToken: "", tokenType: "Bearer", scope: "", expiresIn: 3_600 };
  for (const source of ["s0", "s1"])
    await stack.admin.put({ session: { source, id: sessionId }, upstream: "crm", subject: "", token });
  expect(await rawGet(stack.port, "/items", [`cookie: ${name}=${sessionId}; name=J\xfcrgen; b=2`])).toBe(200);
  expect(stack.api.requests.at(-1)?.headers.cookie).toBe("b=2");
  expect(await rawGet(stack.port, "/items", [`x-session: ${sessionId}`, "cookie: name=J\xfcrgen; b=2"])).toBe(200);
  expect(stack.api.requests.at(-1)?.headers.cookie).toBe("name=J\xfcrgen; b=2");
});
