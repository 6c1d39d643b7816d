import type { Reply } from "../check/reply.ts";
import { digestOf } from "../platform/digest.ts";
import { isObject, type JsonObject, valueAt } from "../platform/json-object.ts";
import type { CheckInput } from "../sessions/check-input.ts";
import { elementTexts, memberText } from "./json-member.ts";
import { capabilitiesKey, inputKey, versionKey } from "./mcp-words.ts";

/**
 * What is missing: an account, or further access to it, which the user can give; or what only administrators can, of
 * the identity provider (`policy`) or of the upstream (`acceptance`).
 */
export type McpLack = "account" | "scope" | "policy" | "acceptance";

/** A request for an MCP server whose user has a session, but no account there that can be used for it. */
interface McpRequest {
  readonly input: CheckInput;
  readonly upstream: string;
  /** What users read of it. */
  readonly title: string;
  readonly lacks: McpLack;
  /** True: clients of revision 2025-11-25, which say only at `initialize` what they can do, can open URLs. */
  readonly assumeUrlElicitation: boolean;
}

/** How it is answered: as it stands, or with the address of the page where the account is connected, if there is one. */
export type McpAnswer =
  | { readonly kind: "plain"; readonly reply: Reply }
  | { readonly kind: "leading"; readonly reply: (url: string | undefined) => Reply };

/**
 * The first revision in which an answer can ask for input ("multi round-trip requests"), and in which each request says
 * what its client can do.
 */
const multiRoundTrip = "2026-07-28";
/** The first revision with URL-mode elicitation, by an error. */
const urlElicitation = "2025-11-25";
const urlElicitationRequired = -32_042;
/** The only error to `server/discover` whose message clients show that speak no earlier revision. */
const unsupportedVersion = -32_022;
/** Ours: nothing else in MCP or its SDKs has it. */
const accountNotConnected = -32_050;
const parseError = -32_700;
const invalidRequest = -32_600;
/** The only methods that may be answered with a request for input. */
const takesInput: ReadonlySet<unknown> = new Set(["tools/call", "prompts/get", "resources/read"]);
/** Nothing is lost where these are taken and go no further. */
const dropped: ReadonlySet<unknown> = new Set(["notifications/cancelled", "notifications/progress"]);

/**
 * The answer in MCP's own words (Streamable HTTP; "Elicitation"). Never a 401: it says that the session is no good, and
 * clients would log in to its issuer again and again. Each JSON-RPC request gets an answer that its user reads, with the
 * address in it.
 */
export function mcpAnswerTo(request: McpRequest): McpAnswer {
  const { input } = request;
  if (input.method !== "POST") return { kind: "plain", reply: otherMethod(input) };
  const body = isPartial(input) ? undefined : parsed(input.body);
  if (body === undefined) return refusal(request, parseError);
  if (Array.isArray(body)) return batchAnswer(request, body);
  if (isNotification(body)) return dropped.has(body.method) ? accepted : refusal(request, invalidRequest);
  const id = isObject(body) && typeof body.method === "string" ? idIn(input.body) : undefined;
  if (!isObject(body) || id === undefined) return refusal(request, invalidRequest);
  return leading((url) => reply(input, answerOne(request, body, id, url)));
}

const accepted: McpAnswer = { kind: "plain", reply: { kind: "rpc", status: "accepted", body: "" } };

/** A stream is refused as servers without one do, and so is the end of a session that never began here. */
function otherMethod(input: CheckInput): Reply {
  const hasSession = input.method === "GET" && input.header("mcp-session-id") !== undefined;
  return { kind: "rpc", status: hasSession ? "unavailable" : "wrong_method", body: "" };
}

/** Where a client sent such a header too, Envoy's is the last. */
function isPartial(input: CheckInput): boolean {
  return /true/i.test(input.header("x-envoy-auth-partial-body") ?? "");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // A body that is no JSON, or that Envoy does not send, is answered as such.
  }
}

/** An error without an id: what it answers is not known, or is no request. */
function refusal(request: McpRequest, code: number): McpAnswer {
  return leading((url) => ({
    kind: "rpc",
    status: "invalid",
    body: `{"jsonrpc":"2.0","error":${JSON.stringify({ code, message: messageOf(request, url) })}}`,
  }));
}

/** One error for each request in it (revision 2025-03-26). */
function batchAnswer(request: McpRequest, members: readonly unknown[]): McpAnswer {
  const texts = elementTexts(request.input.body);
  const ids = members.flatMap((member, at) => (isRequest(member) ? [idIn(texts[at] ?? "") ?? "null"] : []));
  if (ids.length > 0)
    return leading((url) => {
      const error = JSON.stringify(plainError(request, url));
      return reply(request.input, `[${ids.map((id) => `{"jsonrpc":"2.0","id":${id},"error":${error}}`).join(",")}]`);
    });
  const areDropped =
    members.length > 0 && members.every((member) => isNotification(member) && dropped.has(member.method));
  return areDropped ? accepted : refusal(request, invalidRequest);
}

function answerOne(request: McpRequest, body: JsonObject, id: string, url: string | undefined): string {
  const { input, upstream } = request;
  const version = versionOf(input, body);
  if (body.method === "server/discover") return errorOf(id, discoveryError(request, version, url));
  const key = inputKey(upstream);
  const isAsked = url !== undefined && opensUrls(request, body, version) && !wasDeclined(body, key);
  if (!isAsked && body.method === "tools/call") return resultOf(id, toolError(request, version, url));
  if (!isAsked) return errorOf(id, plainError(request, url));
  const elicitation = { mode: "url", url, message: `${whatToDo(request)} to go on.` };
  if (version >= multiRoundTrip && takesInput.has(body.method)) {
    const inputRequests = { [key]: { method: "elicitation/create", params: elicitation } };
    return resultOf(id, { resultType: "input_required", inputRequests });
  }
  const elicitations = [{ ...elicitation, elicitationId: digestOf(url) }];
  return errorOf(id, { code: urlElicitationRequired, message: messageOf(request, url), data: { elicitations } });
}

function errorOf(id: string, error: object): string {
  return `{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify(error)}}`;
}

function resultOf(id: string, result: object): string {
  return `{"jsonrpc":"2.0","id":${id},"result":${JSON.stringify(result)}}`;
}

/** Models read the text of a tool's result, and pass it on. */
function toolError(request: McpRequest, version: string, url: string | undefined): object {
  const content = [{ type: "text", text: messageOf(request, url) }];
  return { content, isError: true, ...(version >= multiRoundTrip ? { resultType: "complete" } : {}) };
}

function plainError(request: McpRequest, url: string | undefined): object {
  return { code: accountNotConnected, message: messageOf(request, url) };
}

/**
 * What the server behind this speaks is not known here. Clients that also speak an earlier revision go on with its
 * `initialize`, and are told the address once more; the others end, and show the message.
 */
function discoveryError(request: McpRequest, requested: string, url: string | undefined): object {
  return {
    code: unsupportedVersion,
    message: messageOf(request, url),
    data: { supported: [urlElicitation], requested },
  };
}

/** Clients show an error's message: the address has to be in it. */
function messageOf(request: McpRequest, url: string | undefined): string {
  if (url !== undefined) return `${whatToDo(request)} to go on: open ${url} and then try again.`;
  const missing: Readonly<Record<McpLack, string>> = {
    account: `Your ${request.title} account is not connected, and there is no page here to connect it`,
    scope: `Your ${request.title} account lacks access that this needs, and there is no page here to give it`,
    policy: `Your organization's identity provider does not let you use ${request.title}`,
    acceptance: `${request.title} does not take what your organization's identity provider says of you`,
  };
  const whom = isUsers(request.lacks) ? "whoever runs this gateway" : "its administrator";
  return `${missing[request.lacks]}: ask ${whom}.`;
}

/** Whether the user can do something about it. */
export function isUsers(lack: McpLack): boolean {
  return lack === "account" || lack === "scope";
}

function whatToDo({ title, lacks }: McpRequest): string {
  return lacks === "account" ? `Connect your ${title} account` : `Allow further access to your ${title} account`;
}

/** The revision in use, "" where it is not known: the header's, the request's own, or the one that `initialize` asks for. */
function versionOf(input: CheckInput, body: JsonObject): string {
  const version =
    input.header("mcp-protocol-version") ??
    valueAt(body, ["params", "_meta", versionKey]) ??
    (body.method === "initialize" ? valueAt(body, ["params", "protocolVersion"]) : undefined);
  return typeof version === "string" && /^\d{4}-\d{2}-\d{2}$/.test(version) ? version : "";
}

function opensUrls({ assumeUrlElicitation }: McpRequest, body: JsonObject, version: string): boolean {
  if (version >= multiRoundTrip)
    return isObject(valueAt(body, ["params", "_meta", capabilitiesKey, "elicitation", "url"]));
  if (version < urlElicitation) return false;
  if (body.method !== "initialize") return assumeUrlElicitation;
  return isObject(valueAt(body, ["params", "capabilities", "elicitation", "url"]));
}

/** The user said no, and is not asked again. (`accept` only means that the page was opened.) */
function wasDeclined(body: JsonObject, key: string): boolean {
  const action = valueAt(body, ["params", "inputResponses", key, "action"]);
  return action === "decline" || action === "cancel";
}

function isNotification(value: unknown): value is JsonObject {
  return isObject(value) && typeof value.method === "string" && value.id === undefined;
}

function isRequest(value: unknown): boolean {
  return isObject(value) && typeof value.method === "string" && value.id !== undefined;
}

/** The id byte for byte: a client may count beyond 2^53, or write 1e2, and waits for what it wrote. */
function idIn(text: string): string | undefined {
  const id = memberText(text, "id");
  return id === undefined || /^(?:null|true|false)$/.test(id) ? undefined : id;
}

function leading(answer: (url: string | undefined) => Reply): McpAnswer {
  return { kind: "leading", reply: answer };
}

/** As an event for a client that takes no JSON. */
function reply(input: CheckInput, body: string): Reply {
  const accept = input.header("accept") ?? "";
  const isStream = /\btext\/event-stream\b/i.test(accept) && !/\bapplication\/(?:json|\*)|\*\/\*/i.test(accept);
  return { kind: "rpc", status: "ok", body, asEvent: isStream };
}
