import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";

/** Something between client and server: another address, TLS in front of a server without, or a network that fails. */
export interface TcpProxy {
  readonly host: string;
  readonly port: number;
  /** How many connections were accepted so far. */
  readonly accepted: number;
  /** How many of them are open. */
  readonly open: number;
  /**
   * From now on nothing passes over the connections that are open, and none of them is closed; new ones work.
   * @param ports only the connections that the target sees coming from these; default all
   * @returns how many connections that were
   */
  freeze(ports?: readonly number[]): number;
  /** Keeps back what the server sends, until it is called again with false. */
  holdAnswers(hold: boolean): void;
  /** Ends the connections that are open. */
  cut(): void;
  stop(): Promise<void>;
}

interface Target {
  readonly host: string;
  readonly port: number;
}

/** Listens on loopback and passes everything on to `target`; with `tls`, what clients send over TLS. */
export async function startTcpProxy(target: Target, tls?: TlsOptions): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let accepted = 0;
  const server: Server =
    tls === undefined ? createServer(accept) : createTlsServer(tls, accept).on("tlsClientError", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  function accept(client: Socket): void {
    accepted++;
    const behind = connect(target);
    const pair = [client, behind] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [behind, client] as const]) {
      from.pipe(to);
      from.on("error", () => undefined);
      from.on("close", () => {
        pairs.delete(pair);
        to.destroy();
      });
    }
  }

  function cut(): void {
    for (const [client, behind] of pairs) {
      client.destroy();
      behind.destroy();
    }
  }

  return {
    host: "127.0.0.1",
    port: (server.address() as AddressInfo).port,
    get accepted() {
      return accepted;
    },
    get open() {
      return pairs.size;
    },
    freeze(ports) {
      const chosen = [...pairs].filter(([, behind]) => ports === undefined || ports.includes(behind.localPort ?? 0));
      for (const [client, behind] of chosen) {
        client.unpipe(behind).pause();
        behind.unpipe(client).pause();
      }
      return chosen.length;
    },
    holdAnswers(hold) {
      for (const [client, behind] of pairs) {
        if (hold) behind.unpipe(client).pause();
        else behind.pipe(client);
      }
    },
    cut,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      cut();
      await closed;
    },
  };
}
