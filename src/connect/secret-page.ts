import type { PageStatus, Reply } from "../check/reply.ts";
import type { SecretEntry } from "../providers/provider.ts";
import { contentSecurityPolicy, html, layout } from "./html.ts";

interface SecretForm {
  readonly entry: Pick<SecretEntry, "label" | "help" | "user">;
  /** What users read of the upstream. */
  readonly title: string;
  /** Where the form is sent. */
  readonly action: string;
  /** Why it is shown again. */
  readonly problem?: string | undefined;
  /** Default: ok. */
  readonly status?: PageStatus;
}

/** The form for a secret. What was entered before is never in it. */
export function secretPage({ entry: { label, help, user }, title, action, problem, status = "ok" }: SecretForm): Reply {
  const trouble = problem === undefined ? "" : html`<p id="problem" class="state bad" role="alert">${problem}</p>\n`;
  const described = problem === undefined ? "" : html` aria-describedby="problem"`;
  const name =
    user === undefined
      ? ""
      : html`<label for="user">${user}</label>
<input id="user" name="user" type="text" required autocomplete="off" autocapitalize="none" spellcheck="false"${described}>\n`;
  const where =
    help === undefined
      ? ""
      : html`<p><a href="${help}" target="_blank" rel="noopener noreferrer">Where to find it</a></p>\n`;
  const content = html`<form class="card" method="post" action="${action}" autocomplete="off">
${trouble}<p>Applications behind this site will use ${title} with it, for you. Nobody can read it here again.</p>
${where}${name}<label for="secret">${label}</label>
<input id="secret" name="secret" type="password" required autocomplete="off" autocapitalize="none" spellcheck="false"${described}>
<div class="actions"><button class="button primary">Connect ${title}</button></div>
</form>`;
  return {
    kind: "page",
    status,
    html: layout(`Connect ${title}`, content),
    contentSecurityPolicy,
    hasForms: true,
  };
}
