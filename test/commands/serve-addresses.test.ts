import { existsSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { resources } from "../support/resources.ts";
import { type CliResult, failToServe, startFailure, startServe, temporaryDirectory } from "./cli-process.ts";

const opened = resources();
const { use, onStop } = opened;

function config(listen: object) {
  return {
    listen,
    sessions: [{ opaque: { from: { header: "x-session" } } }],
    upstreams: { crm: { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" } },
  };
}

function expectFailure(result: CliResult, sentence: RegExp): void {
  expect(startFailure(result).msg).toMatch(sentence);
}

const modeOf = (path: string) => statSync(path).mode & 0o777;

describe("an address in use", () => {
  test("is said in a sentence, with exit code 1, for each listener", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    onStop(() => new Promise((resolve) => taken.close(resolve)));
    const address = `127.0.0.1:${(taken.address() as { port: number }).port}`;
    const answers = await Promise.all([
      failToServe(opened, config({ grpc: address })),
      failToServe(opened, config({ grpc: "127.0.0.1:0", http: address })),
    ]);
    for (const answer of answers)
      expectFailure(
        answer,
        new RegExp(
          `^cannot listen on ${address}: another process listens there: stop it, or choose another port \\(EADDRINUSE\\)$`,
        ),
      );
  });

  test("of another machine, or of a host that nobody knows, is said with what to do", async () => {
    const [elsewhere, unknown] = ["203.0.113.1:9191", "nowhere.invalid:9191"];
    for (const listen of [{ grpc: elsewhere }, { grpc: "127.0.0.1:0", http: elsewhere }])
      expectFailure(
        await failToServe(opened, config(listen)),
        /^cannot listen on 203\.0\.113\.1:9191: this machine has no such address: write one of its own/,
      );
    for (const listen of [{ grpc: unknown }, { grpc: "127.0.0.1:0", http: unknown }])
      expectFailure(
        await failToServe(opened, config(listen)),
        /^cannot listen on nowhere\.invalid:9191: nobody knows the host's name: /,
      );
  });
});

describe("a unix socket", () => {
  test("that somebody serves is left to them: the second instance ends with a sentence", async () => {
    const grpc = `unix:${await temporaryDirectory(opened)}/check.sock`;
    const first = await startServe(opened, config({ grpc }));
    expectFailure(
      await failToServe(opened, config({ grpc })),
      /^cannot listen on unix:.*check\.sock: another process listens there$/,
    );
    expect(first.child.running).toBe(true);
    const client = await use(createExtAuthzClient(grpc));
    expect(await client.health()).toBe("SERVING");
  });

  test("where its folder cannot be entered is said with what to do, for each listener", async () => {
    const file = `${await temporaryDirectory(opened)}/file`;
    writeFileSync(file, "");
    const path = `unix:${file}/it.sock`;
    for (const listen of [{ grpc: path }, { grpc: "127.0.0.1:0", http: path }, { grpc: "127.0.0.1:0", admin: path }])
      expectFailure(
        await failToServe(opened, config(listen)),
        /^cannot listen on unix:.*it\.sock: a part of the path is no folder: choose another path \(ENOTDIR\)$/,
      );
  });

  test("that a crashed process left behind is replaced, and removed at an orderly end", async () => {
    const path = `${await temporaryDirectory(opened)}/check.sock`;
    const crashed = await startServe(opened, config({ grpc: `unix:${path}` }));
    await crashed.child.stop("SIGKILL");
    expect(existsSync(path)).toBe(true);
    const next = await startServe(opened, config({ grpc: `unix:${path}` }));
    const client = await use(createExtAuthzClient(`unix:${path}`));
    expect(await client.health()).toBe("SERVING");
    next.child.signal("SIGTERM");
    expect((await next.child.exited).code).toBe(0);
    expect(existsSync(path)).toBe(false);
  });

  test("is not put in the place of a file", async () => {
    const path = `${await temporaryDirectory(opened)}/precious`;
    writeFileSync(path, "data");
    expectFailure(
      await failToServe(opened, config({ grpc: `unix:${path}` })),
      /^cannot listen on unix:.*precious: a file that is no socket is there/,
    );
    expect(statSync(path).size).toBe(4);
  });

  test("in a folder that is not there is said in a sentence, whichever listener it is", async () => {
    const path = `${await temporaryDirectory(opened)}/none/check.sock`;
    for (const listen of [
      { grpc: `unix:${path}` },
      { grpc: "127.0.0.1:0", http: `unix:${path}` },
      { grpc: "127.0.0.1:0", admin: `unix:${path}` },
    ])
      expectFailure(
        await failToServe(opened, config(listen)),
        /^cannot listen on unix:.*check\.sock: the folder .*\/none does not exist; make it, or choose another path$/,
      );
  });

  test("has the configured mode, the admin service's 0600: it hands out no tokens, but takes them", async () => {
    const dir = await temporaryDirectory(opened);
    const listen = {
      grpc: `unix:${dir}/check.sock`,
      grpcMode: "0606",
      http: `unix:${dir}/http.sock`,
      admin: `unix:${dir}/admin.sock`,
    };
    await startServe(opened, config(listen));
    expect([modeOf(`${dir}/check.sock`), modeOf(`${dir}/http.sock`), modeOf(`${dir}/admin.sock`)]).toEqual([
      0o606, 0o660, 0o600,
    ]);
  });

  test("has mode 0660 by default", async () => {
    const dir = await temporaryDirectory(opened);
    await startServe(opened, config({ grpc: `unix:${dir}/check.sock` }));
    expect(modeOf(`${dir}/check.sock`)).toBe(0o660);
  });
});
