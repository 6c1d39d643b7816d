import { Client, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";
import { UnauthorizedError as EarlierUnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client as EarlierClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as EarlierTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Resources } from "../support/resources.ts";
import type { Stage } from "./stage.ts";
import type { StoryClient } from "./story.ts";
import { startTypescriptLogin, type TypescriptLogin } from "./typescript-login.ts";
import type { User } from "./user.ts";

export interface CurrentApplication {
  /** The one that it speaks, or `auto` for the newest that the server speaks too. */
  readonly revision: "2025-03-26" | "2025-06-18" | "2025-11-25" | "2026-07-28" | "auto";
  readonly opensUrls: boolean;
}

interface Connected {
  callTool(call: { readonly name: string }): Promise<unknown>;
  close(): Promise<void>;
}

/** An application of @modelcontextprotocol/client. Its user sees the messages of what is thrown, and tools' results. */
export async function startCurrentApplication(
  { use }: Resources,
  stage: Pick<Stage, "mcpUrl">,
  user: User,
  name: string,
  application: CurrentApplication,
): Promise<StoryClient> {
  const login = await use(startTypescriptLogin(name, user));
  return storyClient(name, () => use(connectCurrent(stage, user, login, application)));
}

/** The same with version 1 of the package, @modelcontextprotocol/sdk. */
export async function startEarlierApplication(
  { use }: Resources,
  stage: Pick<Stage, "mcpUrl">,
  user: User,
  name: string,
): Promise<StoryClient> {
  const login = await use(startTypescriptLogin(name, user));
  return storyClient(name, () => use(connectEarlier(stage, login)));
}

function storyClient(name: string, connect: () => Promise<Connected>): StoryClient {
  let client: Connected | undefined;
  return {
    name,
    async start() {
      try {
        client = await connect();
        return "";
      } catch (error) {
        return String(error);
      }
    },
    call: async () => JSON.stringify(await client?.callTool({ name: "contacts" }).catch(String)),
  };
}

/** Logs in when the transport says so, as the package's documentation has it, and then connects once more. */
async function connectCurrent(
  stage: Pick<Stage, "mcpUrl">,
  user: User,
  { provider, callback }: TypescriptLogin,
  { revision, opensUrls }: CurrentApplication,
): Promise<Connected> {
  const begin = () => {
    const versions =
      revision === "auto" || revision === "2026-07-28"
        ? { versionNegotiation: { mode: revision === "auto" ? ("auto" as const) : { pin: revision } } }
        : { supportedProtocolVersions: [revision] };
    const capabilities = opensUrls ? { elicitation: { url: {} } } : {};
    const client = new Client({ name: "test", version: "1" }, { ...versions, capabilities });
    if (opensUrls)
      client.setRequestHandler("elicitation/create", async ({ params }) => {
        if ("url" in params) await user.ask(params.url);
        return { action: "accept" };
      });
    return { client, transport: new StreamableHTTPClientTransport(new URL(stage.mcpUrl), { authProvider: provider }) };
  };
  const { client, transport } = begin();
  try {
    await client.connect(transport);
    return client;
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
  }
  await transport.finishAuth(await callback());
  const again = begin();
  await again.client.connect(again.transport);
  return again.client;
}

/** The same with version 1 of the package. */
async function connectEarlier(
  { mcpUrl }: Pick<Stage, "mcpUrl">,
  { provider, callback }: TypescriptLogin,
): Promise<Connected> {
  const begin = () => ({
    client: new EarlierClient({ name: "test", version: "1" }),
    transport: new EarlierTransport(new URL(mcpUrl), { authProvider: provider }),
  });
  const first = begin();
  try {
    await first.client.connect(first.transport);
    return first.client;
  } catch (error) {
    if (!(error instanceof EarlierUnauthorizedError)) throw error;
  }
  await first.transport.finishAuth((await callback()).get("code") ?? "");
  const again = begin();
  await again.client.connect(again.transport);
  return again.client;
}
