/**
 * What a client or a provider says, cut to one line. Control characters and those that turn the direction of text are
 * replaced, since they change how a terminal or a page shows the rest.
 */
export function foreignText(text: string, maxLength = 200): string {
  // It is cut first, so that the work is bounded too. It is cut longer than the result may be, since runs of control
  // characters and line ends become one space.
  const line = text
    .slice(0, 4 * maxLength)
    .toWellFormed()
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ")
    .replace(/[\p{Cf}\p{Co}\p{Cn}]/gu, "")
    .trim();
  return line.length > maxLength ? `${line.slice(0, maxLength).replace(/[\ud800-\udbff]$/, "")}…` : line;
}

/**
 * An error code as a provider sent it: RFC 6749 §5.2 allows visible ASCII without quote and backslash. At most 64
 * characters.
 */
export function foreignWord(text: string): string {
  return text.slice(0, 64).replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, "?");
}
