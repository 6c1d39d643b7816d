/**
 * What stands for a value that is not at hand: a variable that is not set, or any reference under `check --no-secrets`.
 * It passes as a text, a name and an address, so that the rest of the file is checked; a configuration that holds one
 * is never served.
 */
export function standIn(number: number): string {
  return `unresolved${number}`;
}

/** Whether a text is a stand-in, of which nothing can be asked that its value would have to be. */
export function isStandIn(value: string): boolean {
  return /^unresolved\d+$/.test(value);
}
