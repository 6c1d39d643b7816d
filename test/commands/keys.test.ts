import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { expectSentence, runHere, runProcess, temporaryDirectory, writeConfig } from "./cli-process.ts";

const opened = resources();
const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

/** The ids that the hint on standard error names. */
const idsIn = (hint: string) => [...hint.matchAll(/- id: (\S+)\n/g)].map(([, id]) => id);

describe("keys generate", () => {
  test("prints a new 256-bit key alone, and how to configure it on standard error", async () => {
    const { code, stdout, stderr } = await runProcess(["keys", "generate", "--id", "k2"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^[A-Za-z0-9_-]{43}\n$/);
    expect(Buffer.from(stdout, "base64url")).toHaveLength(32);
    expect(stderr).toContain(
      "store:\n  encryption:\n    keys:\n      - id: k2\n        key: ${file:/path/to/k2.key}\n",
    );
    expect(stderr).not.toContain(stdout.trim());
  });

  test("gives another key each time, and without --id another id: an id is never given to a second key", async () => {
    const runs = await Promise.all(Array.from({ length: 5 }, () => runHere(["keys", "generate"])));
    expect(new Set(runs.map(({ stdout }) => stdout)).size).toBe(5);
    const ids = runs.flatMap(({ stderr }) => idsIn(stderr));
    expect(ids).toEqual(Array.from({ length: 5 }, () => expect.stringMatching(/^k[0-9a-f]{8}$/)));
    expect(new Set(ids).size).toBe(5);
  });

  test("redirected under umask 077 makes a file that only its owner reads, and that the hint's configuration takes", async () => {
    const file = join(await temporaryDirectory(opened), "new.key");
    const { stderr } = await promisify(execFile)("sh", [
      "-c",
      'umask 077; "$0" "$1" keys generate > "$2"',
      process.execPath,
      main,
      file,
    ]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const config = await writeConfig(opened, {
      listen: { grpc: "127.0.0.1:0" },
      sessions: [{ opaque: { from: { header: "x-session" } } }],
      store: {
        redis: { url: "redis://127.0.0.1" },
        encryption: { keys: [{ id: idsIn(stderr)[0], key: `\${file:${file}}` }] },
      },
      upstreams: { crm: { tokenEndpoint: "https://idp.example.com/token", clientId: "gateway" } },
    });
    expect(await runHere(["check", "--config", config])).toEqual({ code: 0, stdout: `${config}: ok\n`, stderr: "" });
  });

  test("refuses an id that the configuration would, and then prints no key", async () => {
    for (const id of ["K1", "a.b", "", "-"])
      expectSentence(
        await runHere(["keys", "generate", `--id=${id}`]),
        /^bearerswap: --id .*must be 1 to 63 lower-case letters/,
      );
  });
});
