/** Counts how the store answers. */
export interface StoreMetrics {
  /** One command ended; `code` is the error's, where it failed. */
  command(command: string, durationMs: number, code: string | undefined): void;
}
