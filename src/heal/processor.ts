import { ProcessingRequest } from "../gen/envoy/service/ext_proc/v3/external_processor.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import { refusalIn } from "./challenge.ts";
import type { Healing, Retry } from "./healing.ts";
import { askForBody, attributeHeaders, headersOf, immediate, unchanged, withoutChallenge } from "./message.ts";
import type { ScopeRefusals } from "./scope-refusals.ts";

/** Answers the messages of one stream, in order. */
export interface Processor {
  /** A serialized ProcessingRequest to a serialized ProcessingResponse; undefined where Envoy wants no answer. */
  answer(bytes: Uint8Array): Promise<Buffer | undefined>;
}

/** Makes the processor of a stream. */
export type Process = () => Processor;

interface ProcessDeps {
  readonly healing: Healing;
  /** Absent where nobody is asked for further access. */
  readonly scopeRefused: ScopeRefusals | undefined;
  readonly log: Log;
}

/** Envoy's ext_proc streams (envoy.service.ext_proc.v3): a message that cannot be handled is let through unchanged. */
export function createProcess({ healing, scopeRefused, log }: ProcessDeps): Process {
  return () => {
    /** A request that is answered as soon as its body is there. */
    let waiting: (Retry & { readonly kind: "denied" }) | undefined;
    return {
      async answer(bytes) {
        const request = decoded(bytes);
        const part = request?.request;
        try {
          switch (part?.$case) {
            case "responseHeaders":
              return await ofResponse(headersOf(part.value.headers), request);
            case "requestHeaders": {
              const retry = await healing.retried(headersOf(part.value.headers), request?.metadataContext);
              if (retry.kind === "healed") return retry.message;
              if (retry.kind === "unchanged") return unchanged("requestHeaders");
              if (!retry.needsBody || part.value.endOfStream) return immediate(await retry.answer(""));
              waiting = retry;
              return askForBody();
            }
            case "requestBody": {
              const body = Buffer.from(part.value.body).toString("utf8");
              return waiting === undefined ? unchanged("requestBody") : immediate(await waiting.answer(body));
            }
            default:
              return undefined;
          }
        } catch (error) {
          log.error({ event: "heal_failed", reason: messageOf(error) }, "unexpected error: let through unchanged");
          // What the challenge says is not known: it may lead the client to somebody else's authorization server.
          if (part?.$case === "responseHeaders") return withoutChallenge();
          return part === undefined ? undefined : unchanged(part.$case);
        }
      },
    };
  };

  async function ofResponse(
    headers: ReadonlyMap<string, string>,
    message: ProcessingRequest | undefined,
  ): Promise<Buffer> {
    const metadata = message?.metadataContext;
    if (headers.get(":status") !== "403" || scopeRefused === undefined) {
      const refusal = refusalIn(headers.get("www-authenticate") ?? "");
      await healing.answered(headers, metadata);
      return refusal.leadsAway ? withoutChallenge() : unchanged("responseHeaders");
    }
    const ending = await scopeRefused({ headers, request: attributeHeaders(message?.attributes), metadata });
    switch (ending.kind) {
      case "answered":
        return immediate(ending.response);
      case "stripped":
        return withoutChallenge();
      case "unchanged":
        return unchanged("responseHeaders");
      default:
        return ending satisfies never;
    }
  }
}

function decoded(bytes: Uint8Array): ProcessingRequest | undefined {
  try {
    return ProcessingRequest.decode(bytes);
  } catch {
    return undefined;
  }
}
