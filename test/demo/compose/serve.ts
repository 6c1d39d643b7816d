import { createServer } from "node:http";
import { type HttpHandler, sendJson } from "../../support/http-servers.ts";

/**
 * Serves one container's port on all interfaces until SIGTERM. The servers of the tests listen on loopback, which other
 * containers cannot reach.
 */
export function serve(port: number, handler: HttpHandler): void {
  const server = createServer(async (request, response) => {
    try {
      await handler(request, response);
    } catch (error) {
      console.error(error);
      sendJson(response, 500, { error: "server_error" });
    }
  });
  server.listen(port, () => console.log(`listening on port ${port}`));
  process.once("SIGTERM", () => {
    server.close();
    server.closeAllConnections();
  });
}
