import { cookieCredential } from "./cookies.ts";
import { headerCredential, type Place } from "./credential.ts";
import { identified, type SessionSource } from "./session.ts";

/**
 * Sessions named by a random value that the client holds. Whoever knows the value is the session, so that it must not
 * be guessable. Nothing is kept of a value, since strangers can send any number of them, and since a look-up would take
 * the very hash that names the session.
 */
export function createOpaqueSource({ name, from }: { readonly name: string; readonly from: Place }): SessionSource {
  const source = { kind: "opaque", name } as const;
  return {
    identify(input) {
      const credential =
        "cookie" in from
          ? cookieCredential(from.cookie, input.cookies)
          : headerCredential(from.header, input.header(from.header));
      return credential.kind === "present" ? identified(source, credential.value) : credential;
    },
  };
}
