import type { ErrorRules, ResponseRules } from "./answer-rules.ts";
import type { RevocationRequest } from "./revocation-request.ts";

/**
 * The settings of an upstream that a preset fills in, as the configuration file would say them. `{name}` stands for a
 * parameter of the preset.
 */
export interface PresetSettings {
  readonly issuer?: string;
  readonly tokenEndpoint?: string;
  /** RFC 7009; or the provider's own way: */
  readonly revocationEndpoint?: string;
  readonly revocation?: RevocationRequest;
  readonly clientAuth?: "client_secret_basic" | "client_secret_basic_raw" | "client_secret_post";
  readonly privateKeyIdIsThumbprint?: boolean;
  readonly grace?: string;
  readonly rotates?: "never";
  readonly killsOldAccess?: boolean;
  readonly refreshTokenLife?: string;
  readonly request?: { readonly body?: "form" | "json"; readonly headers?: Readonly<Record<string, string>> };
  readonly response?: ResponseRules;
  readonly errors?: ErrorRules;
}

/** What a login needs so that a refresh token comes of it. */
export interface PresetLogin {
  /** Absent: discovered with the issuer. */
  readonly authorizationEndpoint?: string;
  /** Asked for beside those of the API. */
  readonly scopes?: readonly string[];
  readonly scopeParameter?: string;
  readonly scopeSeparator?: " " | ",";
  /** Absent: it takes PKCE, or ignores it. */
  readonly pkce?: false;
  readonly parameters?: Readonly<Record<string, string>>;
}

/** What differs where tokens are minted: the keys of the kind that an upstream has, filled in below its own. */
export interface PresetMinting {
  /** `jwtBearer` with the session's own JWT. */
  readonly session?: { readonly parameters?: Readonly<Record<string, string>> };
  /** `jwtBearer` with an assertion that we sign. */
  readonly signed?: { readonly audience?: string; readonly life?: string };
  /** How long an assertion may be good at most. */
  readonly longestLife?: string;
  /** Beside those of the settings. They would mean something else where a refresh token is presented. */
  readonly errors?: ErrorRules;
}

/** What one choice of a parameter adds to the settings, and to what a login needs. */
export interface PresetChoice extends PresetSettings {
  readonly login?: PresetLogin;
}

/** What has to be said beside a preset: a part of a URL, or one of several choices. */
export type PresetParameter =
  | { readonly meaning: string; readonly syntax: "host" | "segment"; readonly default?: string }
  | { readonly meaning: string; readonly choices: Readonly<Record<string, PresetChoice>>; readonly default?: string };

/** What is known of a provider, as data. */
export interface Preset {
  readonly title: string;
  readonly parameters?: Readonly<Record<string, PresetParameter>>;
  readonly settings: PresetSettings;
  readonly login: PresetLogin;
  readonly minting?: PresetMinting;
  /** What an operator should know. What is not certain says so. */
  readonly notes: readonly string[];
  /** The provider's documents that the facts are from, by name. */
  readonly sources: readonly string[];
}

const hostSyntax =
  /^(?=.{1,253}(?::|$))[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::\d{1,5})?$/i;
/**
 * Unreserved characters (RFC 3986 §2.3), beginning with a letter or digit, so that it is no dot segment and ends no
 * path.
 */
const segmentSyntax = /^[a-z0-9][a-z0-9._~-]{0,127}$/i;

/**
 * What is wrong with a parameter's value; undefined if nothing is. A value that passes cannot change a URL's host or
 * path outside its own place.
 */
export function parameterProblem(parameter: PresetParameter, value: unknown): string | undefined {
  if (value === undefined) return `is missing: ${parameter.meaning}`;
  if (typeof value !== "string") return `must be a text: ${parameter.meaning}`;
  if ("choices" in parameter)
    return Object.hasOwn(parameter.choices, value)
      ? undefined
      : `must be one of ${Object.keys(parameter.choices).join(", ")}`;
  if (parameter.syntax === "host")
    return hostSyntax.test(value) ? undefined : "must be a host name, without https:// and path";
  return segmentSyntax.test(value)
    ? undefined
    : "must be letters, digits, -, _, . or ~, beginning with a letter or digit";
}

/** The settings with the values in their places. Values must have passed {@link parameterProblem}. */
export function settingsOf(preset: Preset, values: Readonly<Record<string, string>>): PresetSettings {
  const chosen = choicesOf(preset, values).map(({ login: _, ...settings }) => settings);
  return filled(Object.assign({}, preset.settings, ...chosen) as PresetSettings, values);
}

/** What a login needs, with the values in their places. */
export function loginOf(preset: Preset, values: Readonly<Record<string, string>>): PresetLogin {
  const chosen = choicesOf(preset, values).map(({ login }) => login);
  return filled(Object.assign({}, preset.login, ...chosen) as PresetLogin, values);
}

/** What differs where tokens are minted, with the values in their places. */
export function mintingOf({ minting = {} }: Preset, values: Readonly<Record<string, string>>): PresetMinting {
  return filled(minting, values);
}

function choicesOf({ parameters = {} }: Preset, values: Readonly<Record<string, string>>): PresetChoice[] {
  return Object.entries(parameters).flatMap(([name, parameter]) =>
    "choices" in parameter ? [parameter.choices[values[name] ?? ""] ?? {}] : [],
  );
}

/** Only the names given are replaced: `{token}` and `{clientId}` are for later. */
function filled<T>(value: T, values: Readonly<Record<string, string>>): T {
  if (typeof value === "string")
    return value.replace(
      /\{(\w+)\}/g,
      (whole, name: string) => (Object.hasOwn(values, name) ? values[name] : undefined) ?? whole,
    ) as T;
  if (Array.isArray(value)) return value.map((item) => filled(item, values)) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, filled(item, values)])) as T;
}
