/** One challenge of `WWW-Authenticate` (RFC 9110 §11.6.1). */
export interface Challenge {
  /** In lower case; empty where parameters stand before any scheme. */
  readonly scheme: string;
  /** By names in lower case. Of a name that comes twice, the first one is taken. */
  readonly parameters: ReadonlyMap<string, string>;
}

const gap = /[ \t,]*/y;
const assignment = /([!#$%&'*+.^_`|~\w-]+)[ \t]*=[ \t]*/y;
/** Values without quotes may hold what RFC 9110 allows in quotes alone: some servers write URLs so. */
const value = /(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))(?=[ \t,]|$)/y;
/** A scheme, which may be followed by credentials in one piece (token68) in place of parameters. */
const beginning = /([!#$%&'*+.^_`|~\w-]+)(?=[ \t,]|$)(?:[ \t]+[\w.~+/-]+=*(?=[ \t]*(?:,|$)))?/y;
/** The rest of a part that cannot be read. Commas between quotes belong to it. */
const unreadable = /(?:[^",]|"(?:[^"\\]|\\.)*")*/y;

/**
 * The challenges of a field, in their order. Values of several fields may be joined by commas. What cannot be read is
 * left out, up to the next comma, and where a quote never ends, up to the field's end. Servers that leave out the commas
 * between parameters are read too. Each character is looked at a few times at most, however the field was made.
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
  /** A scheme stands at the field's beginning, or behind a comma. */
  let mayBegin = true;
  for (;;) {
    if (next(gap)?.[0].includes(",")) mayBegin = true;
    if (at >= field.length) return challenges;
    const name = next(assignment)?.[1]?.toLowerCase();
    const found = name === undefined ? null : next(value);
    if (name !== undefined && found !== null) {
      const current = challenges.at(-1) ?? opened("");
      const text = found[2] ?? (found[1] ?? "").replace(/\\(.)/g, "$1");
      if (!current.parameters.has(name)) current.parameters.set(name, text);
      mayBegin = false;
      continue;
    }
    const scheme = name === undefined && mayBegin ? next(beginning)?.[1] : undefined;
    mayBegin = false;
    if (scheme !== undefined) opened(scheme.toLowerCase());
    else if (next(unreadable)?.[0] === "" && field[at] !== ",") return challenges;
  }

  function opened(scheme: string) {
    const challenge = { scheme, parameters: new Map<string, string>() };
    challenges.push(challenge);
    return challenge;
  }
}
