import { digestOf } from "../platform/digest.ts";
import { isObject, type JsonObject, parseObject } from "../platform/json-object.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import { memberText } from "./json-member.ts";

/** What an MCP client asks its user to do: to open a page where an account is connected. */
export interface ElicitationRequest {
  readonly input: CheckInput;
  readonly upstream: string;
  /** What users read of it. */
  readonly title: string;
  /** True: clients before revision 2026-07-28, which do not say in a request what they can do, can open URLs. */
  readonly assumeAble: boolean;
}

/** Makes the answer with the URL in it; undefined where the client cannot take one. */
export type Elicitation = (url: string) => string;

/**
 * The first revision in which an answer can ask for input ("multi round-trip requests"), and in which each request says
 * what its client can do.
 */
const multiRoundTrip = "2026-07-28";
/** The first revision with URL-mode elicitation, by an error. */
const urlElicitation = "2025-11-25";
const urlElicitationRequired = -32_042;
/** The only methods that may be answered with a request for input. */
const methods: ReadonlySet<unknown> = new Set(["tools/call", "prompts/get", "resources/read"]);
const capabilitiesKey = "io.modelcontextprotocol/clientCapabilities";
const versionKey = "io.modelcontextprotocol/protocolVersion";

/**
 * URL-mode elicitation (MCP, "Elicitation") in the form of the client's revision, for a request that waits for an
 * account.
 */
export function elicitationFor({ input, upstream, title, assumeAble }: ElicitationRequest): Elicitation | undefined {
  // Nothing is known of a partial body, not even that it is a single request. Envoy says that it is partial in a header
  // of its own; where a client sent such a header too, Envoy's is the last.
  if (input.method !== "POST" || input.body === "" || /true/i.test(input.header("x-envoy-auth-partial-body") ?? ""))
    return undefined;
  const request = parseObject(input.body);
  if (request?.jsonrpc !== "2.0" || !methods.has(request.method) || !isId(request.id)) return undefined;
  // The id is echoed byte for byte: a client may count beyond 2^53, or write 1e2, and waits for what it wrote.
  const id = memberText(input.body, "id");
  if (id === undefined) return undefined;
  const params = objectOf(request.params);
  const meta = objectOf(params?._meta);
  const version = input.header("mcp-protocol-version") ?? meta?.[versionKey];
  if (typeof version !== "string" || !/^\d{4}-\d{2}-\d{2}$/.test(version)) return undefined;
  const key = `bearerswap-connect-${upstream}`;
  const message = `Connect your ${title} account to go on.`;
  if (version >= multiRoundTrip) {
    if (objectOf(objectOf(meta?.[capabilitiesKey])?.elicitation)?.url === undefined || wasDeclined(params, key))
      return undefined;
    return (url) => {
      const inputRequests = { [key]: { method: "elicitation/create", params: { mode: "url", url, message } } };
      return `{"jsonrpc":"2.0","id":${id},"result":${JSON.stringify({ resultType: "input_required", inputRequests })}}`;
    };
  }
  if (version < urlElicitation || !assumeAble) return undefined;
  return (url) => {
    const elicitations = [{ mode: "url", elicitationId: digestOf(url), url, message }];
    return `{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify({ code: urlElicitationRequired, message, data: { elicitations } })}}`;
  };
}

/** The user said no, and is not asked again. (`accept` only means that the page was opened.) */
function wasDeclined(params: JsonObject | undefined, key: string): boolean {
  const action = objectOf(objectOf(params?.inputResponses)?.[key])?.action;
  return action === "decline" || action === "cancel";
}

function isId(value: unknown): boolean {
  return typeof value === "string" || typeof value === "number";
}

function objectOf(value: unknown): JsonObject | undefined {
  return isObject(value) ? value : undefined;
}
