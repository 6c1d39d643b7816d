import { copyFile } from "node:fs/promises";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { createServer, type TLSSocket } from "node:tls";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../commands/cli-process.ts";
import { createCertificateAuthority } from "../support/certificates.ts";
import { type RedisServer, startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";
import { until } from "../support/until.ts";

const opened = resources();
const { use } = opened;

/** What speaks TLS in front of a server, and asks for client certificates; both authorities can be others at once. */
async function startFront(behind: RedisServer) {
  const sockets = new Set<TLSSocket>();
  const server = createServer({ requestCert: true, rejectUnauthorized: true }, (socket) => {
    const onward = connect(behind.port, behind.host);
    sockets.add(socket);
    socket.pipe(onward).pipe(socket);
    for (const end of [socket, onward])
      end.on("error", () => {}).on("close", () => [socket, onward].map((s) => s.destroy()));
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  opened.onStop(() => {
    cut();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, cut, secure: server.setSecureContext.bind(server) };
}

test("Redis is reached with the rotated authority and client certificate when it is connected to again", async () => {
  const redis = await use(startRedis());
  const front = await startFront(redis);
  const dir = await temporaryDirectory(opened);
  const files = { ca: join(dir, "ca.crt"), cert: join(dir, "tls.crt"), key: join(dir, "tls.key") };
  const rotate = async () => {
    const authority = await use(createCertificateAuthority());
    const [server, client] = [await authority.server(), await authority.client({ commonName: "gateway" })];
    await copyFile(authority.certPath, files.ca);
    await copyFile(client.certPath, files.cert);
    await copyFile(client.keyPath, files.key);
    front.secure({ cert: server.cert, key: server.key, ca: authority.cert });
  };
  await rotate();
  const store = { redis: { url: `rediss://127.0.0.1:${front.port}`, tls: files } };
  const scenario = await startScenario(opened, { config: { store } });
  await scenario.login();
  expect(await scenario.check(bearer())).toMatchObject({ status: 200 });

  await rotate();
  front.cut();
  await until("the store to be lost", () => scenario.service.events("store_down").length === 1);
  expect(scenario.reload()).toBe(true);
  await until("the store to answer again", () => scenario.service.events("store_up").length === 2);
  await scenario.admin.refresh({ session: { source: "", id: "Zm9yLXRlc3RzLW9ubHktMDAwMA" }, upstream: "crm" });
  expect(await scenario.check(bearer())).toMatchObject({ status: 200, headers: { authorization: "Bearer access-2" } });
});
