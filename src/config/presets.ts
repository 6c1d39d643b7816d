import { isObject, type JsonObject } from "../platform/json-object.ts";
import type { ErrorRules } from "../providers/answer-rules.ts";
import {
  loginOf,
  mintingOf,
  type Preset,
  type PresetLogin,
  type PresetSettings,
  parameterProblem,
  settingsOf,
} from "../providers/preset.ts";
import { presetNamed } from "../providers/presets.ts";
import type { Problem } from "./problem.ts";
import { duration } from "./units.ts";

/**
 * Fills in what the upstreams' presets say. What the file says wins, key by key, also inside mappings; lists are
 * replaced. Unknown presets are left for the schema.
 */
export function applyPresets(raw: JsonObject, problems: Problem[]): JsonObject {
  if (!isObject(raw.upstreams)) return raw;
  const upstreams = Object.entries(raw.upstreams).map(([name, upstream]) => {
    const preset = isObject(upstream) ? presetNamed(upstream.preset) : undefined;
    return [
      name,
      preset === undefined ? upstream : withPreset(preset, upstream as JsonObject, `upstreams.${name}`, problems),
    ];
  });
  return { ...raw, upstreams: Object.fromEntries(upstreams) };
}

function withPreset(preset: Preset, own: JsonObject, path: string, problems: Problem[]): JsonObject {
  const names = Object.keys(preset.parameters ?? {});
  const rest = Object.fromEntries(Object.entries(own).filter(([key]) => !names.includes(key)));
  const values = valuesOf(preset, own, path, problems);
  const settings = withMinting(preset, values, own, `${path}.jwtBearer.assertion.life`, problems);
  const filled = merged(withoutReplaced(settings as JsonObject, rest), rest);
  return isObject(own.connect) ? { ...filled, connect: connectOf(loginOf(preset, values), own.connect) } : filled;
}

/** The settings, with what differs for the kind of tokens that are minted, where the upstream has one. */
function withMinting(
  preset: Preset,
  values: Readonly<Record<string, string>>,
  { exchange, jwtBearer }: JsonObject,
  lifePath: string,
  problems: Problem[],
): PresetSettings {
  const settings = settingsOf(preset, values);
  const minting = mintingOf(preset, values);
  const errors = bothRules(settings.errors, minting.errors);
  if (isObject(exchange)) return { ...settings, errors };
  if (!isObject(jwtBearer)) return settings;
  const { assertion } = jwtBearer;
  const ofKind = isObject(assertion) ? { assertion: minting.signed ?? {} } : (minting.session ?? {});
  const longest = durationOf(minting.longestLife);
  if (isObject(assertion) && longest !== undefined && (durationOf(assertion.life) ?? 0) > longest)
    problems.push({
      path: lifePath,
      message: `must be ${minting.longestLife} at most: ${preset.title} takes no other`,
    });
  return { ...settings, errors, jwtBearer: ofKind } as PresetSettings;
}

function bothRules(a: ErrorRules = {}, b: ErrorRules = {}): ErrorRules {
  const lists = (["exact", "refused", "misconfigured", "transient", "unknown"] as const).flatMap((name) => {
    const both = [...(a[name] ?? []), ...(b[name] ?? [])];
    return both.length === 0 ? [] : [[name, both]];
  });
  const path = b.path ?? a.path;
  return { ...(path === undefined ? {} : { path }), ...Object.fromEntries(lists) };
}

function durationOf(text: unknown): number | undefined {
  return duration().safeParse(text).data;
}

/** What a login needs to get a refresh token. The preset's scopes are added to the file's own. */
function connectOf({ scopes = [], parameters = {}, ...rest }: PresetLogin, own: JsonObject): JsonObject {
  const settings = { ...rest, parameters };
  const scope = [...new Set([...scopes, ...(typeof own.scope === "string" ? own.scope.split(" ") : [])])].join(" ");
  const mergedScope = own.scope === undefined || typeof own.scope === "string" ? { scope } : {};
  return { ...merged(settings, own), ...(scope === "" ? {} : mergedScope) };
}

function valuesOf(
  { parameters = {} }: Preset,
  own: JsonObject,
  path: string,
  problems: Problem[],
): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [name, parameter] of Object.entries(parameters)) {
    const value = own[name] ?? parameter.default;
    const problem = parameterProblem(parameter, value);
    if (problem !== undefined) problems.push({ path: `${path}.${name}`, message: problem });
    // A stand-in, so that nothing is reported that only follows from this problem.
    values[name] = problem === undefined ? String(value) : "unresolved";
  }
  return values;
}

/** Some settings exclude each other: the one that the file states takes the preset's other one away. */
function withoutReplaced(settings: JsonObject, own: JsonObject): JsonObject {
  const replaced = new Set<string>();
  if ("privateKey" in own) replaced.add("clientAuth");
  if ("revocationEndpoint" in own) replaced.add("revocation");
  if ("revocation" in own) replaced.add("revocationEndpoint");
  if (own.rotates !== undefined && own.rotates !== null) replaced.add("grace");
  if ("grace" in own) replaced.add("rotates");
  return Object.fromEntries(Object.entries(settings).filter(([key]) => !replaced.has(key)));
}

function merged(below: JsonObject, above: JsonObject): JsonObject {
  const result: Record<string, unknown> = { ...below };
  for (const [key, value] of Object.entries(above)) {
    const under = Object.hasOwn(below, key) ? below[key] : undefined;
    result[key] = isObject(under) && isObject(value) ? merged(under, value) : value;
  }
  return result;
}
