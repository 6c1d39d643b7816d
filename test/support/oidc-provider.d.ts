/** What oidc-server.ts and oidc-interaction.ts use of the package, which ships no types. */
declare module "oidc-provider" {
  import type { IncomingMessage, ServerResponse } from "node:http";

  export interface Adapter {
    upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void>;
    find(id: string): Promise<AdapterPayload | undefined>;
    findByUid(uid: string): Promise<AdapterPayload | undefined>;
    findByUserCode(userCode: string): Promise<AdapterPayload | undefined>;
    consume(id: string): Promise<void>;
    destroy(id: string): Promise<void>;
    revokeByGrantId(grantId: string): Promise<void>;
  }

  export interface AdapterPayload {
    uid?: string;
    userCode?: string;
    grantId?: string;
    consumed?: number;
    [field: string]: unknown;
  }

  export interface Grant {
    addOIDCScope(scope: string): void;
    addResourceScope(resource: string, scope: string): void;
    save(): Promise<string>;
  }

  export interface Interaction {
    readonly uid: string;
    readonly params: {
      readonly client_id: string;
      readonly scope?: string;
      readonly login_hint?: string;
      readonly resource?: string | readonly string[];
    };
    /** What the user is asked. */
    readonly prompt: { readonly name: "login" | "consent" };
  }

  export interface Client {
    readonly clientName?: string;
    backchannelLogout(sub: string, sid: string): Promise<void>;
  }

  export interface Context {
    readonly oidc: {
      readonly params?: { readonly grant_type?: string };
      readonly client?: { readonly clientId: string; readonly clientName?: string };
    };
  }

  /** What is there once a client is known, and a browser's session is. */
  export interface GrantContext {
    readonly oidc: {
      readonly provider: Provider;
      readonly client: { readonly clientId: string };
      readonly session: { readonly accountId?: string; grantIdFor(clientId: string): string | undefined };
      readonly result?: { readonly consent?: { readonly grantId?: string } };
    };
  }

  export interface ProviderError extends Error {
    readonly error?: string;
    readonly statusCode?: number;
  }

  export const errors: {
    readonly InvalidTarget: new () => ProviderError;
    readonly CustomOIDCProviderError: new (error: string, description: string) => ProviderError;
  };

  /** What a handler of a grant type works with. */
  export interface GrantTypeContext {
    readonly oidc: {
      readonly params: Readonly<Record<string, string | undefined>>;
      readonly client: { readonly clientId: string };
    };
    body?: object;
  }

  export default class Provider {
    constructor(issuer: string, configuration: object);
    readonly Grant: {
      new (properties: { accountId: string; clientId: string }): Grant;
      find(id: string): Promise<Grant | undefined>;
    };
    readonly Client: {
      find(id: string): Promise<Client | undefined>;
    };
    readonly AccessToken: {
      find(
        value: string,
      ): Promise<{ readonly accountId: string; readonly aud?: string; readonly scope?: string } | undefined>;
    };
    readonly ClientCredentials: { find(value: string): Promise<{ readonly scope?: string } | undefined> };
    registerGrantType(
      name: string,
      handler: (ctx: GrantTypeContext) => Promise<void>,
      parameters: readonly string[],
    ): void;
    callback(): (request: IncomingMessage, response: ServerResponse) => Promise<void>;
    interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<Interaction>;
    interactionFinished(request: IncomingMessage, response: ServerResponse, result: object): Promise<void>;
    on(event: "authorization.success", listener: (ctx: Context) => void): this;
    on(event: "grant.success", listener: (ctx: Context & { body?: { id_token?: unknown } }) => void): this;
    on(event: "registration_create.success", listener: (ctx: { body?: unknown }) => void): this;
    on(event: "grant.error", listener: (ctx: Context, error: ProviderError) => void): this;
  }
}
