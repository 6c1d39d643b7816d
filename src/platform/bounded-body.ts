/** The longest body that is read, in bytes: longer than any token response, metadata or key set. */
const maxBodyBytes = 1_048_576;

/**
 * The same response with its body already read. So metadata, keys and revocations have the limit of token responses:
 * openid-client has none of its own.
 */
export async function bounded(response: Response): Promise<Response> {
  const text = await readText(response);
  return new Response(bodyAllowed(response.status) ? text : null, {
    status: response.status,
    statusText: response.statusText,
    headers: response.headers,
  });
}

/** Reads the body. Throws if it is longer than any token response. */
export async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) throw new Error(`the answer is longer than ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  // This drops a byte order mark, which JSON.parse refuses. Bytes that are not UTF-8 become U+FFFD: a token with one is
  // not taken (isGarbled), and elsewhere in the answer they cost nobody a login.
  return new TextDecoder().decode(Buffer.concat(chunks));
}

/** The statuses with which fetch refuses a body (Fetch standard, null body status). */
export function bodyAllowed(status: number): boolean {
  return status !== 204 && status !== 205 && status !== 304;
}
