import { CheckResponse } from "../gen/envoy/service/auth/v3/external_auth.ts";
import type { VerdictView } from "./explanation.ts";

/** What `denied` lines of the log say. */
export interface DeniedLine {
  readonly reason?: string;
  readonly why?: string;
  readonly upstream?: string;
}

/** Longer bodies are cut: what matters of a denial is short. */
const longestBody = 4_000;

/** The answer to a Check, without what it carries to the upstream. */
export function verdictView(bytes: Uint8Array, denied: DeniedLine | undefined, isCertain: boolean): VerdictView {
  const { httpResponse, dynamicMetadata } = CheckResponse.decode(bytes);
  const outcome = String(dynamicMetadata?.outcome ?? "unknown");
  const about = { outcome, isCertain };
  if (httpResponse?.$case !== "deniedResponse") {
    const set = httpResponse?.value.headers.map(({ header }) => header?.key ?? "") ?? [];
    return { ...about, set, removed: httpResponse?.value.headersToRemove ?? [] };
  }
  const { status, headers, body } = httpResponse.value;
  return {
    ...about,
    status: status?.code,
    why: denied?.why,
    upstream: denied?.upstream,
    headers: Object.fromEntries(headers.map(({ header }) => [header?.key ?? "", header?.value ?? ""])),
    body: body.slice(0, longestBody),
  };
}
