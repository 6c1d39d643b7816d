import { Server } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";
import { scrape } from "../support/scrape.ts";

const opened = resources();

/** As if the installed grpc-js had this member under another name: it finds it itself, one of our files does not. */
function hide(member: string, file: string): void {
  const original = Object.getOwnPropertyDescriptor(Server.prototype, member);
  const values = new WeakMap<object, unknown>();
  Object.defineProperty(Server.prototype, member, {
    configurable: true,
    get(this: object) {
      return new Error().stack?.includes(file) ? undefined : (values.get(this) ?? original?.value);
    },
    set(this: object, value: unknown) {
      values.set(this, value);
    },
  });
  opened.onStop(
    () =>
      void (original
        ? Object.defineProperty(Server.prototype, member, original)
        : Reflect.deleteProperty(Server.prototype, member)),
  );
}

async function hooksOf({ service }: Awaited<ReturnType<typeof startScenario>>) {
  const { value } = await scrape(service.listening);
  const active = (hook: string) => value("bearerswap_grpc_hook_active", { hook });
  return { active: [active("reset_limits"), active("direct_answers")], missing: service.events("grpc_hook_missing") };
}

test("with the pinned grpc-js nothing is missing", async () => {
  expect(await hooksOf(await startScenario(opened))).toEqual({ active: [1, 1], missing: [] });
});

test.each([
  {
    hook: "reset_limits",
    member: "commonServerOptions",
    file: "/src/server/reset-limits.ts",
    active: [0, 1],
    means: "Node's own HTTP/2 limits stay",
  },
  {
    hook: "direct_answers",
    member: "_channelzHandler",
    file: "/src/server/unary-stream.ts",
    active: [1, 0],
    means: "the same answers",
  },
])(
  "a grpc-js that has no place for $hook is warned of once at start and shown in /metrics, and Checks are answered",
  async (given) => {
    hide(given.member, given.file);
    const scenario = await startScenario(opened);
    await scenario.login();
    for (let times = 0; times < 2; times++) expect((await scenario.check(bearer())).status).toBe(200);
    const { active, missing } = await hooksOf(scenario);
    expect(active).toEqual(given.active);
    expect(missing).toMatchObject([{ level: "warn", hook: given.hook, msg: expect.stringContaining(given.means) }]);
    expect(missing[0]?.msg).toContain("npm ci");
  },
);
