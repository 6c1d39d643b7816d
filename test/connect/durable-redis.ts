import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { startRedis } from "../support/redis-server.ts";
import type { Resources } from "../support/resources.ts";
import { until } from "../support/until.ts";
import type { Page } from "./browser.ts";

/** A Redis that keeps what it was told over a restart. */
export async function durableRedis(use: Resources) {
  const dir = mkdtempSync(join(tmpdir(), "bearerswap-redis-"));
  use.onStop(() => rmSync(dir, { recursive: true, force: true }));
  const args = ["--appendonly", "yes", "--appendfsync", "always"];
  const redis = await use.use(startRedis({ args, dir }));
  return {
    url: redis.url,
    stop: () => redis.stop(),
    async restart() {
      await redis.stop();
      await use.use(startRedis({ args, dir, port: redis.port }));
    },
  };
}

/** Until a replica has found Redis again; before that it may say that it has not, and nothing else. */
export function untilBack(ask: () => Promise<Page>, status = 200): Promise<Page> {
  return until("a replica that has found Redis again", async () => {
    const page = await ask();
    expect([status, 503]).toContain(page.status);
    return page.status === status && page;
  });
}
