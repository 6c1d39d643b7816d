import { expect } from "vitest";
import { type KeyApi, startKeyApi } from "../support/key-api.ts";
import type { Resources } from "../support/resources.ts";
import { type Page, prefix, publicUrl, type TestBrowser, textOf } from "./browser.ts";
import { type ConnectWorld, startWorld, type WorldOptions } from "./harness.ts";
import { addressIn } from "./page-harness.ts";

/** A key that the API takes. */
export const goodKey = "pat-0123456789abcdef";
export const goodHeader = `token ${goodKey}`;

/** A world where `ghes` takes keys that its users enter. */
export interface SecretWorld extends ConnectWorld {
  readonly api: KeyApi;
  /** One Check of a request for `ghes`. */
  ask(headers: Record<string, string>): Promise<Page>;
}

interface SecretWorldOptions extends WorldOptions {
  /** More keys of `secret`; undefined takes `verify` away. */
  readonly secret?: object;
  readonly inject?: object;
}

export async function startSecretWorld(
  use: Resources,
  { secret = {}, inject = { format: "token {token}" }, ...options }: SecretWorldOptions = {},
): Promise<SecretWorld> {
  const api = await use.use(startKeyApi());
  api.good.add(goodHeader);
  const world = await startWorld(use, {
    ...options,
    upstreams: (servers) => ({
      ghes: {
        displayName: "GitHub at work",
        secret: {
          label: "Personal access token",
          help: "https://ghes.example.com/settings/tokens",
          verify: { url: `${api.url}/user` },
          ...secret,
        },
        inject,
      },
      ...options.upstreams?.(servers),
    }),
  });
  const ask = (headers: Record<string, string>) =>
    world.call(headers, { contextExtensions: { upstream: "ghes" }, path: "/repos" });
  return { ...world, api, ask };
}

/** Opens the form, as Connect does. */
export async function openForm(browser: TestBrowser, url = `${prefix}connect/ghes`, more = {}): Promise<Page> {
  const page = await browser.visit(url, more);
  expect([page.status, textOf(page)]).toEqual([200, expect.stringContaining("Connect GitHub at work")]);
  return page;
}

/** Sends the form of a page. */
export function enter(
  browser: TestBrowser,
  form: Page,
  secret: string,
  { headers = {}, user }: { readonly headers?: Record<string, string>; readonly user?: string } = {},
): Promise<Page> {
  const fields = new URLSearchParams({ ...(user === undefined ? {} : { user }), secret });
  const sent = { origin: publicUrl, "content-type": "application/x-www-form-urlencoded", ...headers };
  return browser.visit(addressIn(form, "secret/"), { method: "POST", headers: sent, body: String(fields) });
}
