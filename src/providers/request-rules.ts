import type { Secret } from "../platform/secret.ts";

/** How a provider's token and revocation requests differ from the standard. */
export interface RequestRules {
  /** `json` sends the form's fields as a JSON object. Default `form` (RFC 6749 §4.1.3). */
  readonly body?: "form" | "json" | undefined;
  /** Further headers. Their values may be keys, and are never printed. */
  readonly headers?: Readonly<Record<string, Secret>> | undefined;
}

/**
 * The request with the provider's headers, and with its form as JSON if the provider wants that. A GET, such as
 * discovery's, stays as it is.
 */
export function bentRequest(request: RequestInit, { body, headers = {} }: RequestRules): RequestInit {
  if (request.method === "GET" || (body !== "json" && Object.keys(headers).length === 0)) return request;
  const all = new Headers(request.headers);
  for (const [name, value] of Object.entries(headers)) all.set(name, value.reveal());
  if (body !== "json" || !(request.body instanceof URLSearchParams)) return { ...request, headers: all };
  all.set("content-type", "application/json");
  return { ...request, headers: all, body: JSON.stringify(jsonOf(request.body)) };
}

/** A parameter given several times becomes a list. */
function jsonOf(form: URLSearchParams): Record<string, string | string[]> {
  const fields = [...new Set(form.keys())].map((name) => [name, form.getAll(name)] as const);
  return Object.fromEntries(fields.map(([name, values]) => [name, values.length === 1 ? (values[0] ?? "") : values]));
}
