/** The names of one kind that are labels. More may come with another configuration, and none goes. */
export interface Names {
  /** Called for each name, also for those that come later: makes its series, so that rates are known from then on. */
  each(make: (name: string) => void): void;
  /**
   * Adds those that are not known yet. A name that is configured no more keeps its series: a counter that went and came
   * again would look like one that was reset.
   */
  add(names: Iterable<string>): void;
}

export function createNames(initial: Iterable<string>): Names {
  const known = new Set(initial);
  const makers: ((name: string) => void)[] = [];
  return {
    each(make) {
      makers.push(make);
      for (const name of known) make(name);
    },
    add(names) {
      for (const name of names) {
        if (known.has(name)) continue;
        known.add(name);
        for (const make of makers) make(name);
      }
    },
  };
}
