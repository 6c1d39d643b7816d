import { Secret } from "../platform/secret.ts";
import type { EnteredSecret, ReadSecret } from "./provider.ts";

/** The longest secret, in characters, or bytes where it is not ASCII. Servers take header lines of 8 KiB and more. */
const longest = 4_096;
const visible = /^[\x21-\x7e]+$/;
const unreadable = "\ufffd";
const control = /\p{Cc}/u;

/** Reads a key or a token. White space around it comes from copying. */
export function readKey({ secret }: EnteredSecret, label: string): ReadSecret {
  const text = secret.trim();
  if (text === "") return problem(`Enter your ${label}.`);
  if (text.length > longest) return problem(`That is too long: the most are ${longest} characters.`);
  if (!visible.test(text))
    return problem("That holds a space, a line break or a letter that no header can carry. Copy it once more.");
  return { kind: "secret", token: new Secret(text) };
}

/**
 * Reads a user and a password, into what follows `Basic` in a header (RFC 7617 §2), so that nothing is encoded for each
 * request.
 */
export function readUserAndPassword(
  { user, secret }: EnteredSecret,
  labels: { readonly user: string; readonly label: string },
): ReadSecret {
  const name = user.trim().normalize("NFC");
  const password = secret.normalize("NFC");
  if (name === "") return problem(`Enter your ${labels.user}.`);
  if (password === "") return problem(`Enter your ${labels.label}.`);
  if (name.includes(":")) return problem(`There must be no colon in your ${labels.user}: nobody could log in with it.`);
  if (control.test(name) || control.test(password))
    return problem("That holds a line break or another control character. Enter it once more.");
  // What was sent in another encoding has lost a letter for good. An API would refuse it, or count a wrong password.
  if (`${name}${password}`.includes(unreadable))
    return problem("That holds a letter that arrived in another encoding than UTF-8. Enter it once more.");
  if (Buffer.byteLength(name + password) > longest)
    return problem(`That is too long: the most are ${longest} characters, and fewer of those beyond ASCII.`);
  return { kind: "secret", token: new Secret(Buffer.from(`${name}:${password}`, "utf8").toString("base64")) };
}

/** Splits `user:password` at its first colon, as RFC 7617 does. A line break at the end is of the file. */
export function enteredFrom(text: string, hasUser: boolean): EnteredSecret {
  const line = text.replace(/\r?\n$/, "");
  const at = line.indexOf(":");
  return hasUser && at !== -1 ? { user: line.slice(0, at), secret: line.slice(at + 1) } : { user: "", secret: line };
}

function problem(why: string): ReadSecret {
  return { kind: "problem", why };
}
