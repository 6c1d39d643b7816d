/** How servers read a path: all alike, alike except for encoded slashes, or in different ways. */
type PathReading = "plain" | "encoded_slash" | "ambiguous";

/**
 * Paths that servers read in different ways: with dot segments, empty segments, backslashes, control characters, and
 * what is no path. By default Envoy normalises them neither for its routes nor for us, so that a guess could pick
 * another API's token.
 */
const ambiguous = /^[^/]|\/\/|\\|%5c|[\p{Cc} ]|%(?:[01][0-9a-f]|7f)|\/(?:\.|%2e){1,2}(?:\/|;|$)/iu;

/**
 * Dot segments in a path without encodings. After them comes what some server takes for a separator, or the end.
 */
const dotSegment = /[/\\]\.{1,2} *(?:[/\\;?#\p{Cc}]|$)/u;

/**
 * Dot, slash and backslash in overlong UTF-8, one character for each byte. Some servers decode them all the same.
 */
const overlong = /(?:\xc0|\xe0\x80|\xf0\x80\x80)[\xae\xaf]|(?:\xc1|\xe0\x81|\xf0\x80\x81)\x9c/;

export function readingOf(path: string): PathReading {
  if (ambiguous.test(path)) return "ambiguous";
  if (!path.includes("%")) return "plain";
  const plain = withoutEncodings(path);
  if (dotSegment.test(plain) || overlong.test(plain)) return "ambiguous";
  return /%2f/i.test(path) ? "encoded_slash" : "plain";
}

/**
 * Decodes all percent-encodings, also nested ones (`%252e` is `%2e` to the first server and `.` to the next). Each
 * character is written once and taken back at most once, so that nested encodings cost no more than any path of that
 * length.
 */
function withoutEncodings(path: string): string {
  const written = new Uint16Array(path.length);
  let length = 0;
  for (let at = 0; at < path.length; at++) {
    written[length++] = path.charCodeAt(at);
    for (let byte = encodedByte(written, length); byte !== undefined; byte = encodedByte(written, length)) {
      length -= 2;
      written[length - 1] = byte;
    }
  }
  return Buffer.from(written.buffer, 0, 2 * length).toString("utf16le");
}

/** What the last three characters encode. */
function encodedByte(written: Uint16Array, length: number): number | undefined {
  if (length < 3 || written[length - 3] !== 0x25) return undefined;
  const [high, low] = [hexDigit(written[length - 2]), hexDigit(written[length - 1])];
  return high === undefined || low === undefined ? undefined : 16 * high + low;
}

function hexDigit(code = 0): number | undefined {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : undefined;
}
