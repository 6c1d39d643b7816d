import type { Preset } from "./preset.ts";
import { box, dropbox, hubspot, salesforce, zoom } from "./preset-business.ts";
import { github, gitlab } from "./preset-code.ts";
import { auth0, entra, google, keycloak, okta } from "./preset-identity.ts";
import { asana, atlassian, atlassianMcp, linear, notion, slack, slackGov } from "./preset-work.ts";

/** Every preset, by the name that `preset` takes in the configuration. */
export const presets = {
  asana,
  atlassian,
  "atlassian-mcp": atlassianMcp,
  auth0,
  box,
  dropbox,
  entra,
  github,
  gitlab,
  google,
  hubspot,
  keycloak,
  linear,
  notion,
  okta,
  salesforce,
  slack,
  "slack-gov": slackGov,
  zoom,
} as const satisfies Readonly<Record<string, Preset>>;

export type PresetName = keyof typeof presets;

export const presetNames = Object.keys(presets) as [PresetName, ...PresetName[]];

/** Every parameter that some preset has: keys of an upstream in the configuration. */
export const presetParameterNames: readonly string[] = [
  ...new Set(Object.values<Preset>(presets).flatMap(({ parameters = {} }) => Object.keys(parameters))),
].sort();

/** @returns undefined where no preset has that name */
export function presetNamed(name: unknown): Preset | undefined {
  return typeof name === "string" && Object.hasOwn(presets, name) ? presets[name as PresetName] : undefined;
}
