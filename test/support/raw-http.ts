import { connect } from "node:net";
import { buffer } from "node:stream/consumers";

/**
 * One GET over HTTP/1.1 whose header lines go out as they are, one byte for each character. Resolves to the answer's
 * status.
 */
export async function rawGet(
  port: number,
  path: string,
  lines: readonly string[],
  host = "api.example.com",
): Promise<number> {
  const socket = connect(port, "127.0.0.1");
  socket.write([`GET ${path} HTTP/1.1`, `host: ${host}`, "connection: close", ...lines, "", ""].join("\r\n"), "latin1");
  const answer = (await buffer(socket)).toString("latin1");
  return Number(answer.split(" ", 2)[1]);
}
