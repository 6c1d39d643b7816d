import { valueAt } from "../platform/json-object.ts";
import type { CheckInput } from "./check-input.ts";
import type { ForwardedJwt } from "./forwarded-jwt.ts";
import { type Identification, identified, type SessionSource } from "./session.ts";

interface MetadataSourceConfig {
  readonly name: string;
  /** Its sessions are ToolHive's. */
  readonly isOfToolhive?: true | undefined;
  /** The filter's metadata namespace, such as `envoy.filters.http.jwt_authn`. */
  readonly namespace: string;
  /** Keys down to the session id. */
  readonly path: readonly string[];
  /** Keys down to the grant owner's subject, where sessions are bound to it. */
  readonly subject?: readonly string[] | undefined;
}

/**
 * Sessions that a filter before us has verified and put into the dynamic metadata. They are believed as they are, so
 * that nobody but Envoy may be able to call.
 * @param jwt where tokens are minted for the session's own JWT
 */
export function createMetadataSource(
  { name, isOfToolhive, namespace, path, subject }: MetadataSourceConfig,
  jwt: ForwardedJwt | undefined,
): SessionSource {
  const source = { kind: "metadata", name, isOfToolhive } as const;
  return {
    identify(input) {
      const metadata = input.metadata(namespace);
      const id = valueAt(metadata, path);
      if (id === undefined) return { kind: "missing" };
      const found = identified(source, id, subject && { subject: valueAt(metadata, subject) });
      return jwt === undefined ? found : withJwt(jwt, found, input, valueAt(metadata, path.slice(0, 1)));
    },
  };
}

/** The filter's own key, the first of the path, holds all that the JWT says. */
function withJwt(jwt: ForwardedJwt, found: Identification, input: CheckInput, payload: unknown): Identification {
  if (found.kind !== "identified") return found;
  const { session } = found;
  const subjectToken = jwt.of(input, session.session, payload);
  if (subjectToken === undefined) return found;
  if ("invalid" in subjectToken) return { kind: "invalid", why: subjectToken.invalid };
  return { kind: "identified", session: { ...session, subjectToken } };
}
