import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { runHere, startServe, writeConfig } from "./cli-process.ts";

const opened = resources();
const config = {
  listen: { grpc: "127.0.0.1:0" },
  sessions: [{ opaque: { from: { header: "x-session" } } }],
  upstreams: { crm: { tokenEndpoint: "http://127.0.0.1:9/token", clientId: "gateway" } },
};

/** For a process that shall take itself for another version of Node. */
function disguisedAs(version: string): { readonly NODE_OPTIONS: string } {
  const script = `Object.defineProperty(process,"versions",{value:{...process.versions,node:"${version}"}})`;
  return { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(script)}` };
}

test.each([
  ["22.19.0", "1", true],
  ["22.20.9", "1", true],
  ["22.21.0", "1", false],
  ["23.11.1", "1", true],
  ["24.0.0", "1", false],
  ["22.19.0", "0", false],
  ["22.19.0", undefined, false],
])(
  "check on Node %s with NODE_USE_ENV_PROXY=%s warns of a proxy that is ignored: %s",
  async (nodeVersion, asked, warns) => {
    const file = await writeConfig(opened, config);
    const { code, stderr } = await runHere(["check", "--config", file], {
      nodeVersion,
      env: asked === undefined ? {} : { NODE_USE_ENV_PROXY: asked },
    });
    expect([
      code,
      /^warning: NODE_USE_ENV_PROXY is set, but this Node \S+ ignores it: .*run Node 22\.21 or later/m.test(stderr),
    ]).toEqual([0, warns]);
  },
);

test("serve on such a Node warns at start, as an event, and runs", async () => {
  const warned = async (version: string) => {
    const serve = await startServe(opened, config, { NODE_USE_ENV_PROXY: "1", ...disguisedAs(version) });
    return serve.lines().filter(({ event }) => event === "proxy_ignored");
  };
  expect(await warned("22.19.0")).toMatchObject([
    { level: "warn", msg: expect.stringContaining("this Node 22.19.0 ignores it") },
  ]);
  expect(await warned("22.21.0")).toEqual([]);
});
