import type Provider from "oidc-provider";
import { type HttpRequest, type HttpResponse, readBody } from "./http-servers.ts";
import { loginDecision, sendLoginPage } from "./login-page.ts";

/** Answers the provider's interaction addresses: how users log in and consent. */
export type Interact = (provider: Provider, request: HttpRequest, response: HttpResponse) => Promise<void>;

/** Plays the user who logs in as `login_hint` says and consents to everything. */
export const approveUnasked: Interact = async (provider, request, response) => {
  const { params } = await provider.interactionDetails(request, response);
  await approve(provider, request, response, params.login_hint ?? "user-1");
};

/** Shows a page and waits for the person's answer, but for logins that say by `login_hint` who it is. */
export const askUser: Interact = async (provider, request, response) => {
  const { params } = await provider.interactionDetails(request, response);
  if (params.login_hint !== undefined) return approve(provider, request, response, params.login_hint);
  if (request.method !== "POST")
    return sendLoginPage(response, { client: params.client_id, account: "ada@example.com" });
  const { account } = loginDecision(await readBody(request));
  if (account !== undefined) return approve(provider, request, response, account);
  await provider.interactionFinished(request, response, {
    error: "access_denied",
    error_description: "the user denied the access",
  });
};

async function approve(
  provider: Provider,
  request: HttpRequest,
  response: HttpResponse,
  accountId: string,
): Promise<void> {
  const { params } = await provider.interactionDetails(request, response);
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope ?? "openid");
  for (const resource of [params.resource ?? []].flat()) grant.addResourceScope(resource, params.scope ?? "");
  await provider.interactionFinished(request, response, {
    login: { accountId },
    consent: { grantId: await grant.save() },
  });
}
