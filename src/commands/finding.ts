/**
 * What asking one server has shown. `untold`: it answered, and the answer leaves open whether the settings are right.
 */
export interface Finding {
  readonly path: string;
  readonly kind: "ok" | "problem" | "untold";
  readonly text: string;
}
