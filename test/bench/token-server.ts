import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/**
 * A provider that takes between half and one and a half times as long for each call as the first argument says, ms, and
 * does little more than count; the second one says how long its refresh tokens are. `GET /` gives the counts, `DELETE /` begins anew.
 */
export interface ProviderCounts {
  readonly redemptions: number;
  /** Refresh tokens that came a second time. */
  readonly repeated: number;
  /** The most calls that were under way at once. */
  readonly mostAtOnce: number;
  /** How long calls took, from their arrival to their answer. */
  readonly meanMs: number;
  readonly p99Ms: number;
}

const serviceMs = Number(process.argv[2]);
/** Of the refresh tokens, in characters at least. */
const padding = ".".repeat(Number(process.argv[3] ?? 0));
/** Of a usual JWT; a life that no run outlasts. */
const rest = `","token_type":"Bearer","expires_in":86400}`;
const accessToken = "a".repeat(1_000);
let presented = new Map<string, number>();
let durations: number[] = [];
let underWay = 0;
let mostAtOnce = 0;
let issued = 0;
let calls = 0;

async function refresh(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const startedAt = performance.now();
  mostAtOnce = Math.max(mostAtOnce, ++underWay);
  const token = new URLSearchParams(await text(request)).get("refresh_token") ?? "";
  presented.set(token, (presented.get(token) ?? 0) + 1);
  if (serviceMs > 0) await new Promise((resolve) => setTimeout(resolve, serviceMs * (0.5 + fraction())));
  issued += 1;
  response.writeHead(200, { "content-type": "application/json" });
  response.end(`{"refresh_token":"refresh-${issued}${padding}","access_token":"${accessToken}${issued}${rest}`);
  underWay -= 1;
  durations.push(performance.now() - startedAt);
}

/**
 * Evenly spread over 0 to 1, in no order that anybody notices: the same in each run (an additive recurrence of the
 * golden ratio).
 */
function fraction(): number {
  calls += 1;
  return (calls * 0.618_033_988_749_895) % 1;
}

function counts(): ProviderCounts {
  const sorted = Float64Array.from(durations).sort();
  return {
    redemptions: durations.length,
    repeated: [...presented.values()].filter((times) => times > 1).length,
    mostAtOnce,
    meanMs: sorted.reduce((sum, ms) => sum + ms, 0) / sorted.length,
    p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
  };
}

const server = createServer((request, response) => {
  if (request.method === "POST") return void refresh(request, response);
  response.end(JSON.stringify(counts()));
  if (request.method !== "DELETE") return;
  presented = new Map();
  durations = [];
  mostAtOnce = 0;
});
server.listen(0, "127.0.0.1", () => console.log(`listening on ${(server.address() as AddressInfo).port}`));
