/** One challenge of `WWW-Authenticate` (RFC 9110 §11.6.1). */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string;
  /** By names in lower case. Of a name that comes twice, the first one is taken. */
  readonly parameters: ReadonlyMap<string, string>;
}

const separators = /[ \t,]*/y;
/** Values without quotes may hold what RFC 9110 allows in quotes alone: some servers write URLs so. */
const parameter = /([!#$%&'*+.^_`|~\w-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))(?=[ \t]*(?:,|$))/y;
/** A scheme, which may be followed by credentials in one piece (token68) in place of parameters. */
const beginning = /([!#$%&'*+.^_`|~\w-]+)(?=[ \t,]|$)(?:[ \t]+[\w.~+/-]+=*(?=[ \t]*(?:,|$)))?/y;

/**
 * The challenges of a field, in their order. Values of several fields may be joined by commas. From the first place on
 * that cannot be read, the rest is left out.
 */
export function parseChallenges(field: string): readonly Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let at = 0;
  const next = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(field);
    if (match !== null) at = pattern.lastIndex;
    return match;
  };
  while (next(separators) !== null && at < field.length) {
    const current = challenges.at(-1);
    const [, name, quoted, bare] = (current && next(parameter)) ?? [];
    if (current !== undefined && name !== undefined) {
      const key = name.toLowerCase();
      const value = bare ?? (quoted ?? "").replace(/\\(.)/g, "$1");
      if (!current.parameters.has(key)) current.parameters.set(key, value);
      continue;
    }
    const [, scheme] = next(beginning) ?? [];
    if (scheme === undefined) break;
    challenges.push({ scheme: scheme.toLowerCase(), parameters: new Map() });
  }
  return challenges;
}
