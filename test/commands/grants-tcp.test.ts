import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { formatAddress } from "../../src/platform/address.ts";
import { createCertificateAuthority } from "../support/certificates.ts";
import { startHttpServer } from "../support/http-servers.ts";
import { resources } from "../support/resources.ts";
import { sessionId } from "../support/scenario.ts";
import { startService } from "../support/service.ts";
import { expectSentence, runHere, runProcess, temporaryDirectory } from "./cli-process.ts";

const opened = resources();
const { use } = opened;
const token = "admin-token-0123456789";

/** The admin service on TCP, and files with its token and with another. */
async function start(tls: object = {}, configured = token) {
  const service = await use(
    startService({
      config: {
        listen: { grpc: "127.0.0.1:0", admin: "127.0.0.1:0", adminToken: "${env:ADMIN_TOKEN}", ...tls },
        sessions: [{ opaque: { from: { header: "x-session" } } }],
        upstreams: { crm: { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" } },
      },
      env: { ADMIN_TOKEN: configured },
    }),
  );
  const dir = await temporaryDirectory(opened);
  writeFileSync(join(dir, "right"), `${token}\n`);
  writeFileSync(join(dir, "wrong"), `${token}0\n`);
  const place = service.listening.admin;
  const base = ["--admin", place === undefined ? "" : formatAddress(place)];
  const withToken = (name: string) => [...base, "--admin-token-file", join(dir, name)];
  return { service, base, withToken };
}

const put = (args: string[], stdin = "refresh-s3cr3t") =>
  runHere(["grants", "put", ...args, "--upstream", "crm", "--session", sessionId], { stdin });
const denied = /^bearerswap: the admin token is missing or wrong\n$/;

describe("the admin service over TCP", () => {
  test("takes grants from who knows its token, and nothing from anybody else", async () => {
    const { service, base, withToken } = await start();
    const verbs = [["put", "--upstream", "crm"], ["get", "--upstream", "crm"], ["list"], ["revoke"]];
    for (const args of [base, withToken("wrong")]) {
      for (const [verb = "", ...rest] of verbs)
        expectSentence(
          await runHere(["grants", verb, ...args, ...rest, "--session", sessionId], { stdin: "refresh-s3cr3t" }),
          denied,
        );
    }
    expectSentence(
      await runHere(["grants", "get", ...withToken("right"), "--upstream", "crm", "--session", sessionId]),
      /^bearerswap: there is no grant/,
    );
    expect(
      await runProcess(["grants", "put", ...withToken("right"), "--upstream", "crm", "--session", sessionId], {
        stdin: "refresh-s3cr3t",
      }),
    ).toMatchObject({
      code: 0,
      stderr: "",
      stdout: expect.stringMatching(/^stored\n/),
    });
    expect(service.log()).not.toMatch(/admin-token|s3cr3t/);
  });
});

test("white space at the end of the service's own token costs nobody the access: no header could hold it", async () => {
  const { withToken } = await start({}, `${token} \n`);
  expectSentence(
    await runHere(["grants", "get", ...withToken("right"), "--upstream", "crm", "--session", sessionId]),
    /^bearerswap: there is no grant/,
  );
  expectSentence(
    await runHere(["grants", "get", ...withToken("wrong"), "--upstream", "crm", "--session", sessionId]),
    denied,
  );
});

describe("a proxy in the environment", () => {
  test("sees no token: the admin service is called directly", async () => {
    const { withToken } = await start();
    const proxy = await use(startHttpServer((_request, response) => response.end()));
    const env = {
      http_proxy: proxy.url,
      https_proxy: proxy.url,
      grpc_proxy: proxy.url,
      no_proxy: "",
      no_grpc_proxy: "",
    };
    const answer = await runProcess(
      ["grants", "put", ...withToken("right"), "--upstream", "crm", "--session", sessionId],
      { stdin: "refresh-s3cr3t", env },
    );
    expect([answer.code, proxy.connections]).toEqual([0, 0]);
  });
});

describe("the admin service over TLS", () => {
  test("is verified against the authority given, before the token is sent", async () => {
    const [ca, other] = [await use(createCertificateAuthority()), await use(createCertificateAuthority("other CA"))];
    const server = await ca.server();
    const { base, withToken } = await start({ adminTls: { cert: server.certPath, key: server.keyPath } });
    expect(await put([...withToken("right"), "--admin-ca", ca.certPath])).toMatchObject({ code: 0, stderr: "" });
    expectSentence(await put([...base, "--admin-ca", ca.certPath]), denied);
    expectSentence(
      await put([...withToken("right"), "--admin-ca", other.certPath]),
      /^bearerswap: no admin service answers at /,
    );
    expectSentence(await put(withToken("right")), /^bearerswap: no admin service answers at /);
  });

  test("that asks for a client certificate is said in a sentence", async () => {
    const ca = await use(createCertificateAuthority());
    const server = await ca.server();
    const adminTls = { cert: server.certPath, key: server.keyPath, clientCa: ca.certPath };
    const { withToken } = await start({ adminTls });
    expectSentence(
      await put([...withToken("right"), "--admin-ca", ca.certPath]),
      /^bearerswap: no admin service answers at .*certificate required/,
    );
  });
});
