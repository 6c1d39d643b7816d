import { z } from "zod";
import type { Place } from "../sessions/credential.ts";
import type { SourceConfig } from "../sessions/source-config.ts";
import { caFile } from "./pem-file.ts";
import { cookieName, duration, headerName, name, positiveDuration, url } from "./units.ts";

const place = z
  .strictObject({ header: headerName().optional(), cookie: cookieName().optional() })
  .refine(
    ({ header, cookie }) => (header === undefined) !== (cookie === undefined),
    "must be {header: NAME} or {cookie: NAME}",
  )
  .transform(
    ({ header, cookie }): Place => (cookie === undefined ? { header: header ?? "authorization" } : { cookie }),
  );

const text = z.string().min(1, "must not be empty");
const keyPath = z.array(text).min(1, "must name at least one key");

const audience = z.union([text, z.array(text).min(1)]).transform((value) => [value].flat());

const backchannelLogout = z.strictObject({
  audience: audience.optional().meta({
    description: "The logout tokens' aud holds one of these: our client at the issuer; default: the source's audience",
  }),
  by: z.enum(["sid", "sub"]).default("sid").meta({
    description:
      "sid: the one session that the logout token names, where it names one. sub: all of the user's. Default sid",
  }),
});

const jwt = z.strictObject({
  from: place.default({ header: "authorization" }).meta({ description: "Default: the authorization header" }),
  issuer: url().meta({ description: "The tokens' iss" }),
  audience: audience.meta({ description: "The tokens' aud holds one of these" }),
  jwks: url().optional().meta({ description: "The issuer's keys; default: discovered from the issuer" }),
  claim: text.meta({ description: "The claim that is the session's id" }),
  subject: text.optional().meta({ description: "The claim that must equal the grant's subject" }),
  clockTolerance: duration().default(30_000).meta({ description: "For exp and nbf; default 30s" }),
  jwksCooldown: duration()
    .default(30_000)
    .meta({ description: "An unknown key is looked for at the issuer once in this time; default 30s" }),
  ca: caFile().optional().meta({
    description:
      "Path of the authority that the issuer's certificates must come from, PEM; default: those that Node trusts, and NODE_EXTRA_CA_CERTS",
  }),
  allowInsecure: z.boolean().default(false).meta({ description: "Lets issuer and jwks be plain http off loopback" }),
  backchannelLogout: backchannelLogout.optional().meta({
    description:
      "The issuer may end sessions: it posts logout tokens to /backchannel-logout on listen.http (OpenID Connect Back-Channel Logout 1.0)",
  }),
});

const metadata = z.strictObject({
  namespace: text.meta({ description: "The filter's namespace, such as envoy.filters.http.jwt_authn" }),
  path: keyPath.meta({ description: "Keys down to the session id" }),
  subject: keyPath.optional().meta({ description: "Keys down to what must equal the grant's subject" }),
  strip: z
    .array(headerName())
    .default([])
    .meta({ description: "Headers that carry the session credential, to be removed" }),
});

const opaque = z.strictObject({ from: place });
const principal = z.strictObject({
  trustDomains: z
    .array(
      z.string().regex(/^[a-z0-9._-]{1,255}$/, "must be a SPIFFE trust domain: lower-case letters, digits, ., - or _"),
    )
    .min(1),
});

const dayMs = 86_400_000;
const cookie = z
  .strictObject({
    name: cookieName()
      .regex(/^__Host-/, "must begin with __Host-: only then no other host can set it")
      .default("__Host-bearerswap"),
    issue: z.literal(true, "must be true: for cookies that somebody else sets there is opaque"),
    idle: positiveDuration()
      .default(30 * dayMs)
      .meta({ description: "The session ends when it was not used for so long; default 30d" }),
    absolute: positiveDuration()
      .default(180 * dayMs)
      .meta({ description: "…and so long after it began in any case; default 180d" }),
  })
  .transform(({ name: cookieNamed, idle, absolute }) => ({
    from: { cookie: cookieNamed },
    idleMs: idle,
    absoluteMs: absolute,
  }));

export const sourceSchema = z
  .strictObject({
    name: name().optional(),
    jwt: jwt.optional(),
    metadata: metadata.optional(),
    opaque: opaque.optional(),
    cookie: cookie.optional().meta({ description: "Sessions of our own, for users who have no other; needs connect" }),
    principal: principal.optional(),
  })
  .transform(({ name: given, ...kinds }, context): SourceConfig => {
    const [first, ...others] = Object.entries(kinds).filter(([, value]) => value !== undefined);
    if (first === undefined || others.length > 0) {
      context.addIssue("must have exactly one of jwt, metadata, opaque, cookie, principal");
      return z.NEVER;
    }
    const [kind, settings] = first;
    return { name: given ?? kind, kind, ...settings } as SourceConfig;
  });

export const sessionsSchema = z.array(sourceSchema).min(1, "must name at least one source of sessions");
