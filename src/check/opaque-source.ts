import { cookieCredential } from "./cookies.ts";
import { headerCredential, type Place } from "./credential.ts";
import { type Identification, identified, type SessionSource } from "./session.ts";
import type { SessionCache } from "./session-cache.ts";

/** What 128 random bits take at least: 22 characters of base64url, 32 of hex. */
const opaqueSyntax = /^[A-Za-z0-9._~+/=-]{22,}$/;

/** Sessions named by a random value that the client holds: whoever knows it is the session, so that it must not be guessable. */
export function createOpaqueSource({ name, from, cache }: { name: string; from: Place; cache: SessionCache }): SessionSource {
  return {
    identify(input) {
      const credential = "cookie" in from ? cookieCredential(from.cookie, input.cookies) : headerCredential(from.header, input.header(from.header));
      if (credential.kind !== "present") return credential;
      return cache.get(credential.value) ?? remember(credential.value);
    },
  };

  function remember(value: string): Identification {
    if (!opaqueSyntax.test(value)) return { kind: "invalid", why: "no random value of 128 bits or more" };
    const identification = identified(name, value);
    cache.set(value, identification, Number.POSITIVE_INFINITY);
    return identification;
  }
}
