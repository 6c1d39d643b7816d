import type { Reply } from "../check/reply.ts";
import { equalSecrets } from "../platform/digest.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import { auditOf, type GrantKey } from "../stores/grant.ts";
import type { GrantRow } from "../stores/token-store.ts";
import { endAtProvider } from "../tokens/end-at-provider.ts";
import { mayUse } from "../tokens/owner.ts";
import { knownBrowser } from "./browser.ts";
import type { ConnectContext } from "./context.ts";
import { visitorOf } from "./visitor.ts";

/** `POST disconnect/<upstream>?token=…`: works only from our own page, in the browser and session it was made for. */
export function createDisconnect(
  context: ConnectContext,
): (input: CheckInput, upstream: string, query: URLSearchParams) => Promise<Reply> {
  const { providers, tokens, links, messages, log } = context;

  return async function disconnect(input, upstream, query) {
    if (!providers.has(upstream)) return messages.notFound();
    // A POST from another site carries that site's Origin, and cannot know the token. The token is in the address,
    // since the body is not at hand: Envoy sends it on MCP routes alone.
    if (input.header("origin") !== links.origin) return messages.staleForm();
    const visitor = await visitorOf(input, context, "latest");
    if (visitor.kind === "unknown") return messages.unavailable("It cannot be told right now whose session this is.");
    if (visitor.kind !== "session") return messages.stranger();
    const { session } = visitor.session;
    const expected = knownBrowser(input)?.formToken(session, upstream);
    if (expected === undefined || !equalSecrets(query.get("token") ?? "", expected)) return messages.staleForm();
    const key = { session, upstream };
    const owner = visitor.session;
    const end = await tokens.endIf(key, ({ subject }) => mayUse(owner, subject));
    if (end.kind === "another") return messages.staleForm();
    if (end.kind === "unknown") {
      void end.isEnded.then((isEnded) => (isEnded ? ended(key, end.row) : undefined));
      return messages.unavailable("It cannot be told right now whether this account was disconnected.");
    }
    if (end.kind === "ended") void ended(key, end.row);
    return { kind: "redirect", to: links.overview, afterPost: true };
  };

  /** The grant has ended here already, so that nobody waits for a provider that is slow or cannot be asked. */
  async function ended(key: GrantKey, row: GrantRow | undefined): Promise<void> {
    const { refreshToken, client, isSecret: secret } = row?.grant ?? {};
    const audit = auditOf(key, "user", row?.grant.subject);
    log.info({ event: "disconnected", ...audit, secret }, "an account was disconnected");
    const held = { refreshToken, accessToken: row?.access?.token, client };
    await endAtProvider(key, held, { provider: providers.get(key.upstream), log });
  }
}
