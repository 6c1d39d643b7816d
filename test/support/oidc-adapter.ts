import type { Adapter, AdapterPayload } from "oidc-provider";

/**
 * Storage for oidc-provider in memory, without bound; the package's own is shared by all providers and forgets past a
 * thousand entries.
 * @param reuseGraceMs for so long after its first use a refresh token still counts as unused
 */
export function createOidcAdapter({ reuseGraceMs = 0 } = {}): (model: string) => Adapter {
  const entries = new Map<string, { readonly payload: AdapterPayload; readonly until: number }>();
  const byUid = new Map<string, string>();
  const byGrant = new Map<string, Set<string>>();

  function read(key: string): AdapterPayload | undefined {
    const entry = entries.get(key);
    if (entry !== undefined && entry.until <= Date.now()) entries.delete(key);
    return entries.get(key)?.payload;
  }

  return (model) => ({
    async upsert(id, payload, expiresIn) {
      const key = `${model}:${id}`;
      entries.set(key, { payload, until: expiresIn === undefined ? Infinity : Date.now() + expiresIn * 1000 });
      if (payload.uid !== undefined) byUid.set(`${model}:${payload.uid}`, key);
      if (payload.grantId === undefined || model === "Interaction" || model === "Session") return;
      byGrant.set(payload.grantId, (byGrant.get(payload.grantId) ?? new Set()).add(key));
    },
    find: async (id) => read(`${model}:${id}`),
    findByUid: async (uid) => read(byUid.get(`${model}:${uid}`) ?? ""),
    findByUserCode: async () => undefined,
    async consume(id) {
      const payload = read(`${model}:${id}`);
      const consume = () => payload !== undefined && (payload.consumed ??= Math.floor(Date.now() / 1000));
      if (reuseGraceMs === 0) consume();
      else setTimeout(consume, reuseGraceMs).unref();
    },
    destroy: async (id) => void entries.delete(`${model}:${id}`),
    async revokeByGrantId(grantId) {
      for (const key of byGrant.get(grantId) ?? []) entries.delete(key);
      byGrant.delete(grantId);
    },
  });
}
