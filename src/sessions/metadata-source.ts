import { valueAt } from "../platform/json-object.ts";
import { identified, type SessionSource } from "./session.ts";

interface MetadataSourceConfig {
  readonly name: string;
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
 */
export function createMetadataSource({ name, namespace, path, subject }: MetadataSourceConfig): SessionSource {
  const source = { kind: "metadata", name } as const;
  return {
    identify(input) {
      const metadata = input.metadata(namespace);
      const id = valueAt(metadata, path);
      if (id === undefined) return { kind: "missing" };
      return identified(source, id, subject && { subject: valueAt(metadata, subject) });
    },
  };
}
