import { chmodSync, existsSync, lstatSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import type { Server, ServerCredentials } from "@grpc/grpc-js";
import { type Address, formatAddress } from "../platform/address.ts";
import { BearerswapError } from "../platform/error.ts";

/** Where the service listens, with the ports it got. */
export interface Listening {
  readonly grpc: Address;
  readonly http?: Address | undefined;
  readonly admin?: Address | undefined;
}

/**
 * Listens and resolves to the address with its actual port.
 * @param mode permission bits of a unix socket, from its first moment on
 * @throws BearerswapError `address`
 */
export async function listenGrpc(
  server: Server,
  place: Address,
  credentials: ServerCredentials,
  mode: number,
): Promise<Address> {
  const bind = () => bindGrpc(server, place, credentials);
  return place.kind === "unix" ? withSocketMode(place, mode, bind) : bind();
}

/** Removes what a dead process left of the socket, listens with the mode as umask, and then sets the mode. */
export async function withSocketMode<T>(
  place: Address & { readonly kind: "unix" },
  mode: number,
  listen: () => Promise<T>,
): Promise<T> {
  if (!existsSync(dirname(place.path)))
    throw new BearerswapError(
      "address",
      `cannot listen on unix:${place.path}: the folder ${dirname(place.path)} does not exist; make it, or choose another path`,
    );
  await removeStaleSocket(place.path).catch((error: unknown) => {
    throw error instanceof Error && !(error instanceof BearerswapError) ? listenError(place, error) : error;
  });
  const umask = process.umask(0o777 & ~mode);
  try {
    const bound = await listen();
    chmodSync(place.path, mode);
    return bound;
  } finally {
    process.umask(umask);
  }
}

/** What to do when the system refuses an address. grpc-js has the system's code only within its sentences. */
const cures = [
  ["EADDRINUSE", "another process listens there: stop it, or choose another port"],
  ["EADDRNOTAVAIL", "this machine has no such address: write one of its own, or 0.0.0.0 for every interface"],
  ["EACCES", "this user may not: choose a port from 1024 on, or a place that it may write to"],
  ["ENOTDIR", "a part of the path is no folder: choose another path"],
  ["ENOTFOUND", "nobody knows the host's name: write an address of this machine"],
  ["Name resolution failed", "nobody knows the host's name: write an address of this machine"],
] as const;

/** Why an address cannot be listened on, and what to do about it if that is known. */
export function listenError(place: Address, error: Error): BearerswapError {
  const [code, cure] = cures.find(([word]) => error.message.includes(word)) ?? [];
  const why = cure === undefined ? error.message : `${cure} (${code})`;
  return new BearerswapError("address", `cannot listen on ${formatAddress(place)}: ${why}`, { cause: error });
}

function bindGrpc(server: Server, place: Address, credentials: ServerCredentials): Promise<Address> {
  return new Promise((resolve, reject) => {
    server.bindAsync(formatAddress(place), credentials, (error, port) => {
      if (error !== null) reject(listenError(place, error));
      else resolve(place.kind === "unix" ? place : { ...place, port });
    });
  });
}

/** Removes the socket file that a crashed process left behind. A socket that still answers belongs to somebody. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket())
    throw new BearerswapError(
      "address",
      `cannot listen on unix:${path}: a file that is no socket is there; remove it or choose another path`,
    );
  if (await answers(path))
    throw new BearerswapError("address", `cannot listen on unix:${path}: another process listens there`);
  rmSync(path, { force: true });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
