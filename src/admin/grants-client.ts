import { readFileSync } from "node:fs";
import { credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { type ExplainResponse, ExplanationsClient } from "../gen/bearerswap/explain/v1/explain.ts";
import * as proto from "../gen/bearerswap/grants/v1/grants.ts";
import type { CheckRequest } from "../gen/envoy/service/auth/v3/external_auth.ts";
import { type Address, formatAddress } from "../platform/address.ts";
import { BearerswapError, messageOf } from "../platform/error.ts";
import type { Secret } from "../platform/secret.ts";
import type { GrantsHandlers } from "./grants-service.ts";

/** Where the admin service is, and how to reach it. */
interface GrantsClientOptions {
  readonly address: Address;
  readonly token?: Secret | undefined;
  /** Path of the authority's certificate, PEM; TLS where given. */
  readonly caFile?: string | undefined;
}

/**
 * The calls of the grants service. They throw BearerswapError: `input` if the service refuses the request, `address` if
 * it cannot be reached.
 */
export interface GrantsClient extends GrantsHandlers {
  /** What would become of a request, as docs/explain.md has it. */
  explain(request: CheckRequest): Promise<object>;
  close(): void;
}

/** The names of grant states, for people and scripts. */
export const grantStates: Readonly<Record<number, string>> = { 1: "active", 2: "dead", 3: "revoked", 4: "unreadable" };
/** The names of what came of a refresh. */
export const refreshOutcomes: Readonly<Record<number, string>> = { 1: "refreshed", 2: "refused", 3: "unavailable" };

const deadlineMs = 10_000;
/** For calls that have to wait for a provider. */
const providerDeadlineMs = 30_000;
/** For calls about a user, who may have grants in many sessions. */
const subjectDeadlineMs = 300_000;

type Callback<Response> = (error: ServiceError | null, response: Response) => void;
type Method<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: { deadline: number },
  callback: Callback<Response>,
) => unknown;

export function createGrantsClient({ address, token, caFile }: GrantsClientOptions): GrantsClient {
  const channel = caFile === undefined ? credentials.createInsecure() : credentials.createSsl(readCa(caFile));
  // The variables for proxies are not heeded: tokens are sent, in plaintext on loopback.
  const client = new proto.GrantsClient(formatAddress(address), channel, { "grpc.enable_http_proxy": 0 });
  const metadata = new Metadata();
  if (token !== undefined) metadata.set("authorization", `Bearer ${token.reveal()}`);

  const call = <Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    waitMs = deadlineMs,
    service: object = client,
  ): Promise<Response> =>
    new Promise((resolve, reject) => {
      method.call(service, request, metadata, { deadline: Date.now() + waitMs }, (error, response) =>
        error === null ? resolve(response) : reject(wrapped(error, address)),
      );
    });
  return {
    put: (request) => {
      const waitMs = request.secret === undefined ? deadlineMs : providerDeadlineMs;
      return call<proto.PutRequest, proto.PutResponse>(client.put, { secret: undefined, ...request }, waitMs);
    },
    get: (request) => call<proto.GetRequest, proto.GetResponse>(client.get, request),
    list: (request) => call<proto.ListRequest, proto.ListResponse>(client.list, request),
    refresh: (request) =>
      call<proto.RefreshRequest, proto.RefreshResponse>(client.refresh, request, providerDeadlineMs),
    revoke: (request) => call<proto.RevokeRequest, proto.RevokeResponse>(client.revoke, request, providerDeadlineMs),
    listBySubject: (request) =>
      call<proto.ListBySubjectRequest, proto.ListBySubjectResponse>(client.listBySubject, request, subjectDeadlineMs),
    revokeBySubject: (request) =>
      call<proto.RevokeBySubjectRequest, proto.RevokeBySubjectResponse>(
        client.revokeBySubject,
        request,
        subjectDeadlineMs,
      ),
    async explain(request) {
      const explanations = new ExplanationsClient(formatAddress(address), channel, { "grpc.enable_http_proxy": 0 });
      try {
        const ask: Method<{ request: CheckRequest }, ExplainResponse> = explanations.explain;
        return (await call(ask, { request }, providerDeadlineMs, explanations)).explanation ?? {};
      } finally {
        explanations.close();
      }
    },
    close: () => client.close(),
  };
}

/** How grpc-js begins the details of an UNAVAILABLE that is its own, not the service's. */
const channelFailure = /^(?:No connection established|Name resolution failed|Connection dropped)/;

function readCa(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new BearerswapError("input", `cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
}

function wrapped(error: ServiceError, address: Address): BearerswapError {
  const details = error.details
    .replaceAll(/\s+/g, " ") // OpenSSL's reasons end in line breaks
    // grpc-js ends its message in this, with nothing behind it, if no name had to be resolved.
    .replace(/\.? ?Resolution note:? ?$/, "")
    .trim();
  if (error.code === status.UNAVAILABLE && channelFailure.test(details)) {
    return new BearerswapError(
      "address",
      `no admin service answers at ${formatAddress(address)}: is bearerswap running with listen.admin set to it? (${details})`,
      { cause: error },
    );
  }
  if (error.code === status.UNIMPLEMENTED) {
    const message = `what answers at ${formatAddress(address)} is no admin service: give the address of listen.admin (${details})`;
    return new BearerswapError("address", message, { cause: error });
  }
  return new BearerswapError("input", details, { cause: error });
}
