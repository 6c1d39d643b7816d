import { html, layout } from "../../src/connect/html.ts";
import type { HttpResponse } from "./http-servers.ts";

/** What a demo's provider asks of the person in front of the browser. */
export interface LoginPage {
  /** As the provider knows it. */
  readonly client: string;
  /** Filled in; any other is as good. */
  readonly account: string;
}

/** The person's answer: as whom to log in, undefined where the access was denied. */
export interface LoginDecision {
  readonly account: string | undefined;
}

/** One form, sent back to the page's own address: login and consent at once, without a password. */
export function sendLoginPage(response: HttpResponse, { client, account }: LoginPage): void {
  const form = html`<form method="post" class="card">
<p>This is the demo's provider. <b>${client}</b> asks for access to an account here. Any name will do; there is no password.</p>
<p><label>Account <input name="account" value="${account}" autocomplete="off" required></label></p>
<div class="actions"><button class="button primary">Log in and allow</button> <button class="button" name="deny" value="yes">Deny</button></div>
</form>`;
  response
    .writeHead(200, { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" })
    .end(layout("Log in at the provider", form));
}

/** Reads what the form of `sendLoginPage` sends. */
export function loginDecision(body: string): LoginDecision {
  const fields = new URLSearchParams(body);
  return { account: fields.has("deny") ? undefined : (fields.get("account") ?? "") || undefined };
}
