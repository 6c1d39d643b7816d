/** What asking one server has shown. `untold`: it answered, and its answer does not tell. */
export interface Finding {
  readonly path: string;
  readonly kind: "ok" | "problem" | "untold";
  readonly text: string;
}
