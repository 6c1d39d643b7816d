/**
 * Ids of JSON-RPC calls as clients may write them: what JSON.parse and JSON.stringify make of them is something else.
 */
export const oddIds: readonly string[] = [
  "9".repeat(400),
  "12345678901234567890",
  "1.0",
  "1e2",
  "-0",
  `"a"`,
  String.raw`"\u0061\/\u2028\ud83d\ude00"`,
  String.raw`"\"id\":2"`,
];
