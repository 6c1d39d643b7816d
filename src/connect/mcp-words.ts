/** Where requests of revision 2026-07-28 say what their client can do, and which revision it speaks. */
export const capabilitiesKey = "io.modelcontextprotocol/clientCapabilities";
export const versionKey = "io.modelcontextprotocol/protocolVersion";

/** The name of our question in an answer, and of its answer in the next request. */
export function inputKey(upstream: string): string {
  return `bearerswap-connect-${upstream}`;
}
