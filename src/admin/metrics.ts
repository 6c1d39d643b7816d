/** What the admin service is asked. */
export interface AdminMetrics {
  /** One call ended; `code` is the name of its gRPC status. */
  called(method: string, code: string): void;
}
