import { ProcessingRequest } from "../gen/envoy/service/ext_proc/v3/external_processor.ts";
import { messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { Healing, Retry } from "./healing.ts";
import { askForBody, headersOf, immediate, unchanged } from "./message.ts";

/** Answers the messages of one stream, in order. */
export interface Processor {
  /** A serialized ProcessingRequest to a serialized ProcessingResponse; undefined where Envoy wants no answer. */
  answer(bytes: Uint8Array): Promise<Buffer | undefined>;
}

/** Makes the processor of a stream. */
export type Process = () => Processor;

/** Envoy's ext_proc streams (envoy.service.ext_proc.v3): a message that cannot be handled is let through unchanged. */
export function createProcess({ healing, log }: { readonly healing: Healing; readonly log: Log }): Process {
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
              await healing.answered(headersOf(part.value.headers), request?.metadataContext);
              return unchanged("responseHeaders");
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
          return part === undefined ? undefined : unchanged(part.$case);
        }
      },
    };
  };
}

function decoded(bytes: Uint8Array): ProcessingRequest | undefined {
  try {
    return ProcessingRequest.decode(bytes);
  } catch {
    return undefined;
  }
}
