/** One thing wrong with the configuration. */
export interface Problem {
  /** Where: `upstreams.crm.clientId`, `sessions[0].jwt`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
  /** The line, if it is another than the one where the path first is. */
  readonly line?: number | undefined;
  /** Another path that the message names: the message then tells its line too. */
  readonly other?: string;
}

/** A path as messages write it: `sessions[0].jwt.issuer`. */
export function pathOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : text === "" ? String(key) : `${text}.${String(key)}`),
    "",
  );
}
