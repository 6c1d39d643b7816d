import { expect, test } from "vitest";
import { z } from "zod";
import { valuesSchema } from "../chart/values-schema.ts";
import { findAll } from "../envoy/examples.ts";
import { resources } from "../support/resources.ts";
import { isConfiguration, isMapping, loadShown, shownFiles } from "./configurations.ts";
import { isEnvoyBlock } from "./envoy-blocks.ts";
import { type Block, blocksOf, documentsIn, pages } from "./pages.ts";

const files = await shownFiles(resources("file"));
const blocks = pages.flatMap((page) => blocksOf(page, "yaml"));
const named = (chosen: readonly Block[]) => chosen.map((block) => [`${block.page}:${block.line}`, block] as const);

/** docs/providers.md shows what a preset says of an upstream, and of its section `connect`. */
const isPreset = ({ page }: Block) => page === "docs/providers.md";
const isKubernetes = (block: Block) =>
  documentsIn(block).every((document) => isMapping(document) && Object.hasOwn(document, "apiVersion"));
/** agentgateway's own configuration. */
const isAgentgateway = (block: Block) =>
  documentsIn(block).every((document) => isMapping(document) && Object.hasOwn(document, "binds"));
/** Of the Helm chart. */
const isChartValues = (block: Block) =>
  documentsIn(block).every((document) => isMapping(document) && isMapping(document.image));

test("every block of YAML is of a kind that is checked", () => {
  expect(blocks.length).toBeGreaterThan(70);
  const kinds = [isConfiguration, isPreset, isKubernetes, isEnvoyBlock, isAgentgateway, isChartValues];
  const unchecked = blocks.filter((block) => kinds.filter((isKind) => isKind(block)).length !== 1);
  expect(named(unchecked).map(([place]) => place)).toEqual([]);
});

test.each(named(blocks.filter((block) => !isPreset(block) && isConfiguration(block))))(
  "the configuration of %s can be served",
  (_, block) => {
    const [content] = documentsIn(block);
    expect(Object.keys(loadShown(content as never, files).config.upstreams)).not.toEqual([]);
  },
);

test.each(named(blocks.filter(isPreset)))("what %s shows can stand in an upstream", (_, block) => {
  const filled = block.text.replaceAll(/(?<!\$)\{(?!token\}|clientId\})\w+\}/g, "example.com");
  const [content] = documentsIn({ ...block, text: filled });
  const upstream = presetUpstream(content as Record<string, unknown>);
  expect(loadShown({ upstreams: { shown: upstream } }, files).config.upstreams).toHaveProperty("shown");
});

/** What a preset says of a login has the form of `connect`, with the scopes as a list. */
function presetUpstream({ login, scopes, ...content }: Record<string, unknown>): object {
  const own = { clientId: "gateway", clientSecret: "${env:SECRET}", tokenEndpoint: "https://example.com/token" };
  const isLogin = scopes !== undefined || "authorizationEndpoint" in content || "parameters" in content;
  const connect = isMapping(login) ? login : isLogin ? { scopes, ...content } : undefined;
  if (connect === undefined) return { ...own, ...content };
  const { scopes: listed, ...rest } = connect;
  const scope = Array.isArray(listed) ? { scope: listed.join(" ") } : {};
  const authorizationEndpoint = "https://example.com/authorize";
  return { ...own, ...(isLogin ? {} : content), connect: { authorizationEndpoint, ...rest, ...scope } };
}

test.each(named(blocks.filter(isKubernetes)))("the manifests of %s name what they are", (_, block) => {
  for (const document of documentsIn(block))
    expect(document).toMatchObject({
      apiVersion: expect.stringMatching(/^[\w.-]+\/v\w+$|^v1$/),
      kind: expect.stringMatching(/^[A-Z]\w+$/),
      metadata: { name: expect.any(String) },
      spec: expect.any(Object),
    });
});

test.each(named(blocks.filter(isChartValues)))("the chart takes the values of %s", (_, block) => {
  const [values] = documentsIn(block) as [{ config?: object }];
  expect(z.fromJSONSchema(valuesSchema() as never).safeParse(values).error).toBeUndefined();
  if (values.config !== undefined) loadShown({ ...values.config }, files);
});

test.each(named(blocks.filter(isAgentgateway)))(
  "every route of %s is checked, closed on failure, by no cache",
  (_, block) => {
    const routes = findAll<object[]>(documentsIn(block), "routes").flat();
    const checks = findAll<object>(routes, "extAuthz");
    expect(checks.length).toBe(routes.length);
    for (const check of checks) {
      expect(check).toMatchObject({
        failureMode: { denyWithStatus: 503 },
        includeRequestHeaders: expect.arrayContaining(["authorization", "cookie"]),
      });
      expect(check).not.toHaveProperty("cache");
    }
  },
);
