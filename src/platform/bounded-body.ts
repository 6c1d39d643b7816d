/** More than any token response, metadata or key set holds. */
const maxBodyBytes = 1_048_576;

/**
 * The same response with its body read: metadata, keys and revocations have the limit of token responses, as
 * openid-client has none.
 */
export async function bounded(response: Response): Promise<Response> {
  const text = await readText(response);
  return new Response(bodyAllowed(response.status) ? text : null, {
    status: response.status,
    statusText: response.statusText,
    headers: response.headers,
  });
}

/** The body, which must not be longer than any token response is. */
export async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) throw new Error(`the answer is longer than ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  // Drops a byte order mark, which JSON.parse refuses. Bytes that are no UTF-8 become U+FFFD, with which no token is
  // taken (isGarbled); beside the tokens they cost nobody a login.
  return new TextDecoder().decode(Buffer.concat(chunks));
}

/** Fetch refuses a body for these (Fetch standard, null body status). */
export function bodyAllowed(status: number): boolean {
  return status !== 204 && status !== 205 && status !== 304;
}
