import { registerHooks } from "node:module";
import { fetchDocumentsAt } from "./client-documents.ts";

/**
 * What `@cloudflare/workers-oauth-provider` needs of the Workers runtime, for a process that runs nothing else: a module
 * to inherit from, the flag that allows clients' documents, and a fetch that finds them.
 * @param documentsAt where documents are, whatever host they name
 */
export function installWorkersRuntime(documentsAt: string | undefined): void {
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === "cloudflare:workers"
        ? { url: "data:text/javascript,export class WorkerEntrypoint {}", shortCircuit: true }
        : next(specifier, context),
  });
  Object.assign(globalThis, {
    Cloudflare: { compatibilityFlags: { global_fetch_strictly_public: documentsAt !== undefined } },
  });
  if (documentsAt === undefined) return;
  const { fetch } = globalThis;
  const fetchDocument = fetchDocumentsAt(documentsAt);
  globalThis.fetch = (input, init) =>
    typeof input === "string" && input.startsWith("https://") ? fetchDocument(input) : fetch(input, init);
}

/** A KV namespace in memory, as much of it as is used. */
export function createKeyValues() {
  const values = new Map<string, { readonly text: string; readonly until: number }>();
  const read = (key: string) => {
    const entry = values.get(key);
    return entry === undefined || entry.until <= Date.now() ? null : entry.text;
  };
  return {
    async get(key: string, options?: { readonly type?: string }): Promise<unknown> {
      const text = read(key);
      return text === null || options?.type !== "json" ? text : JSON.parse(text);
    },
    async put(key: string, text: string, { expirationTtl: seconds = Number.POSITIVE_INFINITY } = {}) {
      values.set(key, { text, until: Date.now() + seconds * 1_000 });
    },
    delete: async (key: string) => void values.delete(key),
    async list({ prefix = "" } = {}) {
      const names = [...values.keys()].filter((key) => key.startsWith(prefix) && read(key) !== null);
      return { keys: names.map((name) => ({ name })), list_complete: true };
    },
  };
}
