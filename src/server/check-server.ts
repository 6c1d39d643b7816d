import {
  type handleBidiStreamingCall,
  type handleUnaryCall,
  Server,
  type ServerUnaryCall,
  status,
} from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import type { Check } from "../check/check.ts";
import { AuthorizationService } from "../gen/envoy/service/auth/v3/external_auth.ts";
import { ExternalProcessorService } from "../gen/envoy/service/ext_proc/v3/external_processor.ts";
import type { Processor } from "../heal/processor.ts";
import type { Address } from "../platform/address.ts";
import type { GrpcHook, GrpcHooks } from "./grpc-hooks.ts";
import { listenGrpc } from "./listen.ts";
import type { ListenConfig } from "./listen-config.ts";
import { createListenerTls } from "./listener-tls.ts";
import { createOpenCalls } from "./open-calls.ts";
import { addReflection } from "./reflection.ts";
import { raiseResetLimits } from "./reset-limits.ts";
import { deadlineMarginMs, serveDirectly, type UnaryMethod } from "./unary-stream.ts";

/** The health service's name for the store's live state. */
const storeHealth = "bearerswap.store";

interface CheckServerDeps {
  readonly check: Check;
  /** Makes what answers an ext_proc stream; undefined where nothing is healed. */
  readonly process: () => Processor | undefined;
  readonly config: ListenConfig;
  /** Every Check is answered within this, ms. Asked for each. */
  readonly deadlineMs: () => number;
}

/** The gRPC server that Envoy calls. */
export interface CheckServer {
  readonly hooks: GrpcHooks;
  /** Resolves to the address, with its port. */
  listen(): Promise<Address>;
  /** Overall health, and that of the Authorization service. */
  setServing(serving: boolean): void;
  setStoreUp(up: boolean): void;
  /** Makes ready another configuration, which is in force when what this returns is called. @throws BearerswapError `config` */
  prepare(config: Pick<ListenConfig, "tls">): () => void;
  /** Takes no new calls and resolves when those under way are answered, at the latest after `timeoutMs`. */
  drain(timeoutMs: number): Promise<void>;
}

/**
 * The longest CheckRequest, which holds headers and perhaps a body: a longer one can only be an attack. grpc-js refuses
 * it before any handler sees it.
 */
const maxRequestBytes = 16 * 1024 * 1024;

export function createCheckServer({ check, process, config, deadlineMs }: CheckServerDeps): CheckServer {
  const tls = createListenerTls(config.tls);
  const calls = createOpenCalls();
  const server = new Server({
    "grpc.max_receive_message_length": maxRequestBytes,
    interceptors: [calls.interceptor, ...tls.interceptors],
  });
  const hooks = new Map<GrpcHook, boolean>([["reset_limits", raiseResetLimits(server)]]);
  const health = new HealthImplementation({
    "": "NOT_SERVING",
    [AuthorizationService.check.path.split("/")[1] ?? ""]: "NOT_SERVING",
    [storeHealth]: "NOT_SERVING",
  });
  server.addService(
    { check: { ...AuthorizationService.check, requestDeserialize: identity, responseSerialize: identity } },
    { check: handler(check, deadlineMs) },
  );
  if (tls.interceptors.length === 0)
    hooks.set("direct_answers", serveDirectly(server, directly(check, deadlineMs), calls.direct));
  addProcessor(server, process);
  health.addToServer(server);
  addReflection(server, [
    "envoy/service/auth/v3/external_auth.proto",
    "envoy/service/ext_proc/v3/external_processor.proto",
  ]);

  return {
    hooks,
    listen: () => listenGrpc(server, config.grpc, tls.credentials, config.grpcMode),
    setServing(serving) {
      for (const name of ["", AuthorizationService.check.path.split("/")[1] ?? ""])
        health.setStatus(name, serving ? "SERVING" : "NOT_SERVING");
    },
    setStoreUp: (up) => health.setStatus(storeHealth, up ? "SERVING" : "NOT_SERVING"),
    prepare: (next) => tls.prepare(next.tls),
    drain: (timeoutMs) => calls.drain(server, timeoutMs),
  };
}

/** Messages stay bytes here. Check decodes them, so that one that cannot be decoded gets a verdict too. */
function identity(bytes: Buffer): Buffer {
  return bytes;
}

function directly(check: Check, deadlineMs: () => number): UnaryMethod {
  return {
    path: AuthorizationService.check.path,
    handle: check,
    get deadlineMs() {
      return deadlineMs();
    },
  };
}

function handler(check: Check, deadlineMs: () => number): handleUnaryCall<Buffer, Buffer> {
  return (call, callback) => {
    const [traceparent, another] = call.metadata.get("traceparent");
    const own = another === undefined && typeof traceparent === "string" ? traceparent : undefined;
    const answer = check(call.request, waitOf(call, deadlineMs()), own);
    if (answer instanceof Promise) answer.then((bytes) => callback(null, bytes), callback);
    else callback(null, answer);
  };
}

/**
 * Answers a stream's messages one after the other. The next one is taken only when the last is answered, so that what a
 * stream sends meanwhile does not pile up here.
 */
function addProcessor(server: Server, process: () => Processor | undefined): void {
  const definition = {
    process: { ...ExternalProcessorService.process, requestDeserialize: identity, responseSerialize: identity },
  };
  const serve: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    const processor = process();
    if (processor === undefined) {
      call.emit("error", { code: status.UNIMPLEMENTED, details: "the configuration has no section heal" });
      return;
    }
    call.on("data", async (message: Buffer) => {
      call.pause();
      const answer = await processor.answer(message);
      if (answer !== undefined && !call.cancelled) call.write(answer);
      call.resume();
    });
    call.on("end", () => call.end());
    call.on("error", () => {}); // Envoy has ended the request.
  };
  server.addService(definition, { process: serve });
}

function waitOf(call: ServerUnaryCall<Buffer, Buffer>, deadlineMs: number): number {
  const deadline = call.getDeadline();
  if (deadline === Number.POSITIVE_INFINITY) return deadlineMs;
  return Math.min(deadlineMs, Number(deadline) - Date.now() - deadlineMarginMs);
}
