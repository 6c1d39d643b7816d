/** Where browsers reach our pages. */
export interface OwnPlace {
  /** Origin, without a slash at its end. */
  readonly publicUrl: string;
  /** Begins and ends with `/`. */
  readonly prefix: string;
}

/**
 * Where a provider sends users back to (RFC 6749 §3.1.2): the address of one upstream alone, or the one that upstreams
 * share. With an address of its own an upstream's code cannot come back as another's (RFC 9700 §4.4).
 */
export function redirectUriOf({ publicUrl, prefix }: OwnPlace, upstream?: string): string {
  return `${publicUrl}${prefix}callback${upstream === undefined ? "" : `/${upstream}`}`;
}

/** Where our client's document is, which is the client's id too. */
export function clientDocumentUrl({ publicUrl, prefix }: OwnPlace): string {
  return `${publicUrl}${prefix}${clientDocumentName}`;
}

/** The name of the document's page, below the prefix. */
export const clientDocumentName = "client.json";
