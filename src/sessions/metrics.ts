/** Counts how the servers of session issuers answer. */
export interface KeyMetrics {
  /** One request for the keys or the metadata of a source's issuer ended; `ok` is a 2xx answer. */
  fetched(source: string, ok: boolean): void;
}
