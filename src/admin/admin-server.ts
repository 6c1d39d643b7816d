import { type handleUnaryCall, type Metadata, Server, status } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import {
  type ExplainRequest,
  type ExplainResponse,
  type ExplanationsServer,
  ExplanationsService,
} from "../gen/bearerswap/explain/v1/explain.ts";
import * as proto from "../gen/bearerswap/grants/v1/grants.ts";
import type { CheckRequest } from "../gen/envoy/service/auth/v3/external_auth.ts";
import type { Address } from "../platform/address.ts";
import { equalSecrets } from "../platform/digest.ts";
import { BearerswapError, messageOf } from "../platform/error.ts";
import type { Log } from "../platform/log.ts";
import type { Secret } from "../platform/secret.ts";
import { listenGrpc } from "../server/listen.ts";
import type { ListenConfig } from "../server/listen-config.ts";
import { createListenerTls } from "../server/listener-tls.ts";
import { createOpenCalls } from "../server/open-calls.ts";
import { addReflection } from "../server/reflection.ts";
import { type GrantsHandlers, NotFoundError } from "./grants-service.ts";
import type { AdminMetrics } from "./metrics.ts";

/** The gRPC server of the admin API. */
interface AdminServer {
  listen(): Promise<Address>;
  /** Makes ready another configuration, which is in force when what this returns is called. @throws BearerswapError `config` */
  prepare(config: Pick<ListenConfig, "adminTls" | "adminToken">): () => void;
  /** Takes no new calls and resolves when those under way are answered, at the latest after `timeoutMs`. */
  drain(timeoutMs: number): Promise<void>;
}

const socketMode = 0o600;

interface AdminServerDeps {
  readonly config: ListenConfig;
  /** Asked for each call. */
  readonly grants: () => GrantsHandlers;
  /** Says what would become of a request, without any effect. */
  readonly explain: (request: CheckRequest) => Promise<object>;
  readonly log: Log;
  readonly metrics: AdminMetrics;
}

/** Serves `bearerswap.grants.v1.Grants` at `listen.admin`; undefined without that key. */
export function configuredAdminServer({ config, ...deps }: AdminServerDeps): AdminServer | undefined {
  const { admin, adminTls } = config;
  if (admin === undefined) return undefined;
  let { adminToken } = config;
  const tls = createListenerTls(adminTls);
  const calls = createOpenCalls();
  const server = new Server({ interceptors: [calls.interceptor, ...tls.interceptors] });
  server.addService(
    proto.GrantsService,
    guarded(() => adminToken, deps),
  );
  server.addService(
    ExplanationsService,
    explaining(() => adminToken, deps),
  );
  new HealthImplementation({ "": "SERVING" }).addToServer(server);
  const files = ["bearerswap/grants/v1/grants.proto", "bearerswap/explain/v1/explain.proto"];
  const served = ["bearerswap.grants.v1.Grants", "bearerswap.explain.v1.Explanations", "grpc.health.v1.Health"];
  addReflection(server, files, served);
  return {
    listen: () => listenGrpc(server, admin, tls.credentials, socketMode),
    prepare(next) {
      const secure = tls.prepare(next.adminTls);
      return () => {
        adminToken = next.adminToken;
        secure();
      };
    },
    drain: (timeoutMs) => calls.drain(server, timeoutMs),
  };
}

/** A handler as a gRPC call: only with the admin token where one is configured, errors as statuses. */
function unaryFor(token: () => Secret | undefined, { log, metrics }: Pick<AdminServerDeps, "log" | "metrics">) {
  return <Request, Response>(
    method: string,
    run: (request: Request) => Promise<Response>,
  ): handleUnaryCall<Request, Response> =>
    (call, callback) => {
      const work = mayAdminister(call.metadata, token()) ? run(call.request) : Promise.reject(new DeniedError());
      work.then(
        (response) => {
          metrics.called(method, "OK");
          callback(null, response);
        },
        (error: unknown) => {
          const failure = statusOf(error, log);
          metrics.called(method, status[failure.code]);
          callback(failure);
        },
      );
    };
}

function explaining(token: () => Secret | undefined, deps: Omit<AdminServerDeps, "config">): ExplanationsServer {
  const unary = unaryFor(token, deps);
  return {
    explain: unary("explain", async ({ request }: ExplainRequest): Promise<ExplainResponse> => {
      // A Struct holds no `undefined`.
      return { explanation: JSON.parse(JSON.stringify(await deps.explain(request ?? { attributes: undefined }))) };
    }),
  };
}

function guarded(token: () => Secret | undefined, deps: Omit<AdminServerDeps, "config">): proto.GrantsServer {
  const unary = unaryFor(token, deps);
  const { grants } = deps;
  return {
    put: unary("put", (request) => grants().put(request)),
    get: unary("get", (request) => grants().get(request)),
    list: unary("list", (request) => grants().list(request)),
    refresh: unary("refresh", (request) => grants().refresh(request)),
    revoke: unary("revoke", (request) => grants().revoke(request)),
    listBySubject: unary("list_by_subject", (request) => grants().listBySubject(request)),
    revokeBySubject: unary("revoke_by_subject", (request) => grants().revokeBySubject(request)),
  };
}

class DeniedError extends Error {}

function mayAdminister(metadata: Metadata, token: Secret | undefined): boolean {
  if (token === undefined) return true;
  const given = String(metadata.get("authorization")[0] ?? "");
  // Editors leave white space at the end of files, and a header cannot carry it.
  return equalSecrets(given, `Bearer ${token.reveal().trim()}`);
}

function statusOf(error: unknown, log: Log): { code: status; details: string } {
  if (error instanceof DeniedError)
    return { code: status.UNAUTHENTICATED, details: "the admin token is missing or wrong" };
  if (error instanceof NotFoundError) return { code: status.NOT_FOUND, details: error.message };
  const code = error instanceof BearerswapError ? error.code : undefined;
  if (code === "input") return { code: status.INVALID_ARGUMENT, details: messageOf(error) };
  log.error({ event: "admin_failed", reason: messageOf(error) }, "an admin call failed");
  if (code === "store_full") return { code: status.RESOURCE_EXHAUSTED, details: messageOf(error) };
  if (code === "store_unavailable") return { code: status.UNAVAILABLE, details: messageOf(error) };
  if (code === "store_sealed") return { code: status.FAILED_PRECONDITION, details: messageOf(error) };
  return { code: code === "store_corrupt" ? status.DATA_LOSS : status.INTERNAL, details: messageOf(error) };
}
