import { pageAt } from "../docs/pages.ts";

/** The words of the line under Redis ACL in docs/toolhive.md, for this prefix and password. */
export function toolhiveAcl(prefix: string, password: string): string[] {
  const line = /^ACL SETUSER bearerswap reset .*$/m.exec(pageAt("docs/toolhive.md").text)?.[0];
  if (line === undefined) throw new Error("docs/toolhive.md has no line for a Redis user");
  return line.replaceAll("thv:auth:{tools:crm}:", prefix).replace(">PASSWORD", `>${password}`).split(" ").slice(1);
}
