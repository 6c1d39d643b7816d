import { describe, expect, test } from "vitest";
import { Secret } from "../../src/platform/secret.ts";
import { startNodeOAuth2Server } from "../support/node-oauth2-server.ts";
import { startOidcServer } from "../support/oidc-server.ts";
import { resources } from "../support/resources.ts";
import { present, providerOf, revealed } from "./presentation.ts";

const { use } = resources();
const uuid = { id: "2b1f6c9e-0d3a-4c57-9f1e-6a7b8c9d0e1f", secret: "aZ09-_.b-0d3a_4c57*9f1e" };

describe("client_secret_basic at real servers", () => {
  test("one that does not decode (node-oauth2-server) knows a client whose id is a UUID and whose secret is base64url, refreshes, and refuses", async () => {
    const { tokenEndpoint } = await use(startNodeOAuth2Server(uuid));
    const clientAuth = { method: "client_secret_basic", secret: new Secret(uuid.secret) } as const;
    const provider = providerOf({ tokenEndpoint, clientId: uuid.id, clientAuth });
    expect(await revealed(await present(provider))).toMatchObject({
      kind: "tokens",
      accessToken: expect.any(String),
      scope: "read",
      checks: undefined,
    });
    expect(await present(provider, "gone")).toMatchObject({ kind: "refused", why: "invalid_grant" });
  });

  test("one that does not decode refuses a secret that has to be encoded, the log says what to try, and that helps", async () => {
    const client = { id: "gate-way", secret: "s3cr3t+with/base64==" };
    const { tokenEndpoint } = await use(startNodeOAuth2Server(client));
    const outcomes = ["client_secret_basic", "client_secret_basic_raw", "client_secret_post"] as const;
    const [encoded, raw, post] = await Promise.all(
      outcomes.map((method) =>
        present(
          providerOf({ tokenEndpoint, clientId: client.id, clientAuth: { method, secret: new Secret(client.secret) } }),
        ),
      ),
    );
    expect(encoded).toMatchObject({
      kind: "misconfigured",
      why: "invalid_client",
      advice: expect.stringMatching(/client_secret_basic_raw .* or client_secret_post/),
    });
    expect([raw?.kind, post?.kind]).toEqual(["tokens", "tokens"]);
  });

  test.each([uuid, { id: "gate-way:1/+ *", secret: "s!~-*'()+% &=:." }])(
    "one that decodes (oidc-provider) knows $id",
    async ({ id, secret }) => {
      const client = { id, secret, method: "client_secret_basic" } as const;
      const server = await use(startOidcServer({ clients: [client] }));
      const { refresh_token } = await server.login({ client });
      const provider = providerOf({
        issuer: server.issuer,
        clientId: id,
        clientAuth: { method: "client_secret_basic", secret: new Secret(secret) },
      });
      expect(await revealed(await present(provider, refresh_token))).toMatchObject({
        kind: "tokens",
        checks: undefined,
      });
    },
  );
});
