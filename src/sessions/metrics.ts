/** Counts how the servers of session issuers answer. */
export interface KeyMetrics {
  /** One request for the keys or the metadata of a source's issuer ended; `ok` is a 2xx answer. */
  fetched(source: string, ok: boolean): void;
}

/** How full the caches are, read whenever the metrics are collected. */
export interface SessionSizes {
  /** Verified sessions, in the cache of the place that `source` reads. */
  sessions(source: string, size: () => number): void;
}
