import { httpAnswer, isRead } from "./http-answer.ts";

/** The longest body that is read, in bytes: longer than any token response, metadata or key set. */
export const maxBodyBytes = 1_048_576;

/** What an answer fails with that is longer. */
export function tooLong(): Error {
  return new Error(`the answer is longer than ${maxBodyBytes} bytes`);
}

/**
 * The same response with its body already read. So metadata, keys and revocations have the limit of token responses:
 * openid-client has none of its own.
 */
export async function bounded(response: Response): Promise<Response> {
  if (isRead(response)) return response;
  const { status, statusText, headers, url } = response;
  return httpAnswer({ status, statusText, fields: Object.fromEntries(headers), url, text: await readText(response) });
}

/** Reads the body. Throws if it is longer than any token response. */
export async function readText(response: Response): Promise<string> {
  if (isRead(response)) return response.text();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) throw tooLong();
    chunks.push(chunk);
  }
  // This drops a byte order mark, which JSON.parse refuses. Bytes that are not UTF-8 become U+FFFD: a token with one is
  // not taken (isGarbled), and elsewhere in the answer they cost nobody a login.
  return new TextDecoder().decode(Buffer.concat(chunks));
}
