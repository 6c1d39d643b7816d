import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";

/** An HTTP proxy for tunnels (RFC 9110 §9.3.6). */
export interface ConnectProxy {
  readonly url: string;
  /** `host:port` of each tunnel that was asked for. */
  readonly tunnels: readonly string[];
  stop(): Promise<void>;
}

/** Every tunnel leads to a port of this machine, whatever host was asked for; other requests are refused. */
export async function startConnectProxy(): Promise<ConnectProxy> {
  const tunnels: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((_request, response) => void response.writeHead(405).end());
  server.on("connect", (request, client: Socket) => {
    tunnels.push(request.url ?? "");
    const target = connect({ host: "127.0.0.1", port: Number(request.url?.split(":").at(-1)) }, () =>
      client.write("HTTP/1.1 200 Connection established\r\n\r\n"),
    );
    target.pipe(client).pipe(target);
    for (const [one, other] of [
      [client, target],
      [target, client],
    ] as const) {
      sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => sockets.delete(one));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tunnels,
    stop() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
