/** A header's value, with the token in the place that the format has for it. */
export function injectedText(format: string, token: string): string {
  return format.replaceAll("{token}", () => token);
}
