/** What a Prometheus server reads. */
export interface Scrape {
  readonly contentType: string;
  text(): Promise<string>;
}
