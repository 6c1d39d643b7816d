/**
 * What a client or a provider says, cut to one line: no control and no direction characters, which change how a
 * terminal or a page shows the rest.
 */
export function foreignText(text: string, maxLength = 200): string {
  // Cut first, so that the work is bounded too; controls and line ends become one space, so that more may be needed
  // than is left.
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
