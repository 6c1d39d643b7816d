import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { visitAsBrowser } from "../support/oidc-login.ts";
import { resources } from "../support/resources.ts";
import { type Answer, type Installation, install, type SendOptions, type Variant } from "./behind-envoy.ts";

const tracked = resources("file");
const variants: readonly Variant[] = ["", "-jwt-authn", "-mtls", "-connect", "istio", "envoy-gateway"];
/**
 * Slow, and well within refresh.timeout; longer than any limit that Envoy might have of its own besides the timeout.
 */
const slowMs = 2_000;

/** Real time passes here, as it does in Envoy: all examples wait at the same time. */
test.concurrent("each example waits for a provider that is slow, and says Retry-After for one that takes longer than refresh.timeout", {
  timeout: 60_000,
}, async () => {
  const answers = await Promise.all(
    variants.map(async (variant) => [variant, await slowThenHanging(variant)] as const),
  );

  const expected = {
    slow: [200, true],
    hanging: [503, expect.stringMatching(/^\d+$/), expect.stringContaining('"reason":"unavailable"')],
  };
  expect(answers).toEqual(variants.map((variant) => [variant, expected]));
});

test.concurrent("a login that the provider is slow to end shows a page in any case", { timeout: 60_000 }, async () => {
  const [slow, hanging] = await Promise.all([slowMs, undefined].map(callback));

  expect([slow?.status, slow?.headers.location]).toEqual([302, "https://gateway.example.com/_bearerswap/"]);
  expect([hanging?.status, hanging?.headers["content-type"], hanging?.body]).toEqual([
    503,
    "text/html; charset=utf-8",
    expect.stringContaining("<h1>"),
  ]);
});

async function slowThenHanging(variant: Variant) {
  const installation = await install(tracked, { variant });
  const { oidc, send } = installation;
  const [first, second] = [await credential(installation, variant, 1), await credential(installation, variant, 2)];

  const asked = answeredAfter(installation, slowMs, () => send("/crm/contacts", first));
  await asked.arrived;
  oidc.hang();
  const hanging = await send("/crm/contacts", second);
  oidc.release();

  const { slow, tookMs } = await asked.answer;
  return {
    slow: [slow.status, tookMs >= slowMs],
    hanging: [hanging.status, hanging.headers["retry-after"], hanging.body],
  };
}

/** The provider's answer to the token request that `ask` leads to comes after that time. */
function answeredAfter({ oidc }: Installation, delayMs: number, ask: () => Promise<Answer>) {
  const gate = oidc.hang();
  const beganAt = performance.now();
  const asked = ask();
  const arrived = gate.arrived();
  const answer = arrived.then(async () => {
    await sleep(delayMs);
    gate.release();
    return { slow: await asked, tookMs: performance.now() - beganAt };
  });
  return { arrived, answer };
}

async function credential({ ca, issuer, grant }: Installation, variant: Variant, number: number): Promise<SendOptions> {
  const session = variant === "-mtls" ? `spiffe://example.org/agent-${number}` : `session-${number}`;
  await grant(session, `user-${number}`);
  if (variant === "-mtls") return { certificate: await ca.client({ commonName: "agent", uris: [session] }) };
  const jwt = await issuer.sign({ tsid: session, sub: `user-${number}`, aud: "https://gateway.example.com" });
  return { headers: { authorization: `Bearer ${jwt}` } };
}

/** A newcomer logs in through envoy-connect.yaml; the provider redeems the code after that time, or never. */
async function callback(delayMs: number | undefined): Promise<Answer> {
  const installation = await install(tracked, { variant: "-connect" });
  const { oidc, send } = installation;
  const navigation = { accept: "text/html", "sec-fetch-mode": "navigate" };
  const begun = await send("/_bearerswap/connect/crm", { headers: navigation });
  const cookies = (begun.headers["set-cookie"] as string[]).map((cookie) => cookie.split(";")[0]).join("; ");
  const back = await visitAsBrowser(String(begun.headers.location));
  const arrive = () => send(`${back.pathname}${back.search}`, { headers: { ...navigation, cookie: cookies } });

  if (delayMs !== undefined) return (await answeredAfter(installation, delayMs, arrive).answer).slow;
  oidc.hang();
  const answer = await arrive();
  oidc.release();
  return answer;
}
