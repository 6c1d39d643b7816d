import type { UpstreamConfig } from "../config/upstreams-schema.ts";
import type { HttpFetch } from "../platform/fetch-for.ts";
import type { Random } from "../platform/random.ts";
import { createSecretProvider } from "../providers/secret-provider.ts";
import type { Finding } from "./finding.ts";

export type SecretUpstream = Extract<UpstreamConfig, { readonly secret: object }>;

/** Tries a secret that cannot exist: the API has to refuse it, or a trial would tell nothing. */
export async function secretFinding(
  path: string,
  config: SecretUpstream,
  { fetch, random }: { readonly fetch: HttpFetch; readonly random: Random },
): Promise<Finding> {
  const { read, verify } = createSecretProvider({ config, fetch }).secret ?? {};
  const made = read?.({ user: "bearerswap-check", secret: `bearerswap-check-${random.id()}` });
  if (verify === undefined || made?.kind !== "secret")
    return { path, kind: "untold", text: "users' secrets are kept without a trial: secret.verify is not set" };
  const outcome = await verify(made.token);
  switch (outcome.kind) {
    case "refused":
      return {
        path,
        kind: "ok",
        text: `secret.verify tells good from bad: a made-up secret was refused (${outcome.why})`,
      };
    case "accepted":
      return {
        path,
        kind: "problem",
        text: "secret.verify accepts a made-up secret, so that it tells nothing: choose an address that needs one",
      };
    case "unavailable":
      return {
        path,
        kind: "problem",
        text: `secret.verify cannot tell whether a secret is good: check url, expect and refused (${outcome.why})`,
      };
    default:
      return outcome satisfies never;
  }
}
