import { stringify } from "yaml";
import type { Preset, PresetMinting, PresetParameter } from "../../src/providers/preset.ts";
import { presets } from "../../src/providers/presets.ts";
import { wrapped } from "../docs/wrapped.ts";

/** docs/providers.md. */
export function presetsPage(): string {
  const all = Object.entries<Preset>(presets);
  const rows = all.map(([name, { title }]) => `| [\`${name}\`](#${name}) | ${title} |`);
  return `${head}\n\n| preset | provider |\n|---|---|\n${rows.join("\n")}\n\n${all.map(([name, preset]) => section(name, preset)).join("\n")}`;
}

function section(name: string, { title, parameters = {}, settings, login, minting, notes, sources }: Preset): string {
  const parts = [`## ${name}`, title + (title.endsWith(".") ? "" : ".")];
  const declared = Object.entries(parameters);
  if (declared.length > 0)
    parts.push(`Parameters:\n\n${declared.map(([key, parameter]) => parameterLine(key, parameter)).join("\n")}`);
  parts.push(`Fills in:\n\n${yaml(settings)}`);
  for (const [key, parameter] of declared)
    if ("choices" in parameter)
      for (const [choice, more] of Object.entries(parameter.choices))
        if (Object.keys(more).length > 0) parts.push(`With \`${key}: ${choice}\`:\n\n${yaml(more)}`);
  if (Object.keys(login).length > 0) parts.push(`A login, for a refresh token to come of it:\n\n${yaml(login)}`);
  if (minting !== undefined) parts.push(...mintingParts(minting));
  parts.push(notes.map((note) => wrapped(`- ${note}`, "  ")).join("\n"), wrapped(`Sources: ${sources.join("; ")}.`));
  return `${parts.join("\n\n")}\n`;
}

function mintingParts({ session, signed, longestLife, errors }: PresetMinting): string[] {
  const filled = (values: object) => Object.entries(values).map(([key, value]) => `\`${key}: ${value}\``);
  const ofSession = filled(session?.parameters ?? {});
  const ofSigned = filled(signed ?? {});
  if (longestLife !== undefined) ofSigned.push(`a life of ${longestLife} at most`);
  return [
    ...(ofSession.length === 0
      ? []
      : [`With \`jwtBearer: {assertion: session}\`, as parameters: ${ofSession.join(", ")}.`]),
    ...(ofSigned.length === 0 ? [] : [`With an assertion that we sign: ${ofSigned.join(", ")}.`]),
    ...(errors === undefined ? [] : [`Where its tokens are minted, beside the above:\n\n${yaml({ errors })}`]),
  ];
}

function parameterLine(key: string, parameter: PresetParameter): string {
  const values = "choices" in parameter ? ` (${Object.keys(parameter.choices).join(", ")})` : "";
  return `- \`${key}\`${values}: ${parameter.meaning}; ${parameter.default === undefined ? "needed" : `default ${parameter.default}`}`;
}

function yaml(value: object): string {
  return `\`\`\`yaml\n${stringify(value, { lineWidth: 0 })}\`\`\``;
}

const head = `# Providers

What \`preset\` fills in for an upstream. This page is written by \`npm run generate\`; \`bearerswap presets NAME\` prints
the same.

A preset is data. It needs \`clientId\`, mostly \`clientSecret\`, and its parameters. Whatever else stands beside it in
the configuration wins, key by key. \`grace:\` with nothing behind it takes a preset's grace away, and so with \`rotates\`,
\`issuer\`, \`request\`, \`response\`, \`errors\` and \`revocationEndpoint\`. Lifetimes and graces that are a setting of yours
at the provider are left for you to say. A provider that is not here can be described by the upstream's own keys, among
them \`request\`, \`response\` and \`errors\` ([configuration.md](configuration.md#providers-that-bend-the-standard)).

Upstreams with \`exchange\` or \`jwtBearer\` ([credentials.md](credentials.md)) get some more, and some words mean something
else to them: they are minted tokens, and no refresh token is presented.

\`grace\` is how long a rotated refresh token is still accepted: within it, one whose answer was lost is presented again
soon. \`rotates: never\` says that a refresh leaves the refresh token as it is, so that a lost answer costs nothing.
\`killsOldAccess\` keeps a refresh from ending the token of requests under way. \`refreshTokenLife\` is how long the grant
is kept where the provider does not say; the default is 30 days.`;
