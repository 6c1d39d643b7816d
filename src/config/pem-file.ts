import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { z } from "zod";
import { messageOf } from "../platform/error.ts";
import { Secret } from "../platform/secret.ts";
import { isStandIn } from "./stand-in.ts";

/** The path of a PEM file; in the Config its contents. */
export function pemFile(): z.ZodType<string, string> {
  return z
    .string()
    .meta({ title: "path of a PEM file" })
    .transform((path, context) => {
      if (isStandIn(path)) return path;
      try {
        const text = readFileSync(path, "utf8");
        if (text.includes("-----BEGIN ")) return text;
        context.addIssue(`the file ${path} holds no PEM block`);
      } catch (error) {
        context.addIssue(`cannot read the file ${path}: ${messageOf(error)}`);
      }
      return z.NEVER;
    });
}

/** Like {@link pemFile}, for authorities. Node ignores one that it cannot read, and would then trust nobody. */
export function caFile(): z.ZodType<string, string> {
  return pemFile().refine(isCertificate, "holds no certificate that can be read");
}

function isCertificate(pem: string): boolean {
  if (isStandIn(pem)) return true;
  try {
    return new X509Certificate(pem).subject !== undefined;
  } catch {
    return false;
  }
}

/** Like {@link pemFile}, for a private key. */
export function keyFile(): z.ZodType<Secret, string> {
  return pemFile().transform((pem) => new Secret(pem));
}

/** Why these files cannot be used together for TLS; undefined if they can. */
export function tlsProblem({
  cert,
  key,
  ca,
}: {
  cert?: string | undefined;
  key?: Secret | undefined;
  ca?: string | undefined;
}): string | undefined {
  if ([cert, key?.reveal(), ca].some((pem) => pem !== undefined && isStandIn(pem))) return undefined;
  try {
    createSecureContext({ cert, key: key?.reveal(), ca });
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
