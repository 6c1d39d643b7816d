import { z } from "zod";
import type { Place } from "../sessions/credential.ts";
import type { SourceConfig } from "../sessions/source-config.ts";
import { caFile } from "./pem-file.ts";
import { cookieName, duration, headerName, name, positiveDuration, url } from "./units.ts";

const place = z
  .strictObject({
    header: headerName()
      .optional()
      .describe("The header that holds the credential; it may come as `Bearer VALUE`, of which the value is taken."),
    cookie: cookieName().optional().describe("The cookie that holds the credential, in place of a header."),
  })
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
  audience: audience
    .optional()
    .describe(
      "Our client at the issuer: the logout token's `aud` must hold one of these. Without this key: the source's `audience`.",
    ),
  by: z
    .enum(["sid", "sub"])
    .default("sid")
    .describe(
      "`sid` ends the one session that the logout token names, or all of the user's where it names none. `sub` ends all of the user's.",
    ),
});

const jwt = z.strictObject({
  from: place.prefault({ header: "authorization" }).describe("Where the JWT is in a request."),
  issuer: url().describe("Who signs the JWTs: their `iss` must be equal to it."),
  audience: audience.describe("The JWT's `aud` must hold this, or one of these."),
  jwks: url()
    .optional()
    .describe("The address of the issuer's keys. Without this key it is discovered from the issuer."),
  claim: text.describe("The claim that is the session's id."),
  subject: text
    .optional()
    .describe(
      "The claim that says who the user is. A grant's subject must then be equal to it; without this key no subject is compared.",
    ),
  clockTolerance: duration().prefault("30s").describe("How far the issuer's clock may be off, for `exp` and `nbf`."),
  jwksCooldown: duration()
    .prefault("30s")
    .describe("A key that is not known is looked for at the issuer, once in this time."),
  ca: caFile()
    .optional()
    .describe(
      "The authority that the issuer's certificates must come from, in place of those that Node trusts and `NODE_EXTRA_CA_CERTS` adds.",
    ),
  allowInsecure: z.boolean().default(false).describe("True: `issuer` and `jwks` may be plain http off loopback."),
  backchannelLogout: backchannelLogout
    .optional()
    .describe(
      "The issuer may end sessions: it posts logout tokens to `/backchannel-logout` on `listen.http` (OpenID Connect Back-Channel Logout 1.0). `{}` is enough.",
    ),
});

const metadata = z
  .strictObject({
    namespace: text.describe("The filter's namespace in the metadata."),
    path: keyPath.describe("The keys that lead to the session's id."),
    subject: keyPath.optional().describe("The keys that lead to the user, to whom the grant's subject must be equal."),
    strip: z
      .array(headerName())
      .default([])
      .describe("The headers that carry the session's credential: they are removed from what goes upstream."),
    forwarded: place
      .optional()
      .describe(
        "Where the filter leaves the JWT that it has verified (`forward: true`), for upstreams with `exchange` or `jwtBearer`: see docs/credentials.md. The JWT's whole payload must stand in the metadata under the first key of `path`.",
      ),
  })
  .refine(({ forwarded, path }) => forwarded === undefined || path.length > 1, {
    path: ["path"],
    message: "must lead to the id by way of the JWT's whole payload, such as [payload, sid], where there is forwarded",
  });

const opaque = z.strictObject({
  from: place.describe("Where the value is in a request: a place that no other source reads."),
});
const principal = z.strictObject({
  trustDomains: z
    .array(
      z.string().regex(/^[a-z0-9._-]{1,255}$/, "must be a SPIFFE trust domain: lower-case letters, digits, ., - or _"),
    )
    .min(1)
    .describe("The SPIFFE trust domains whose workloads are sessions."),
});

const cookie = z
  .strictObject({
    name: cookieName()
      .regex(/^__Host-/, "must begin with __Host-: only then no other host can set it")
      .default("__Host-bearerswap")
      .describe("The cookie's name, which must begin with `__Host-`."),
    issue: z
      .literal(true, "must be true: for cookies that somebody else sets there is opaque")
      .describe("Must be true: bearerswap sets this cookie. For a cookie that somebody else sets there is `opaque`."),
    idle: positiveDuration().prefault("30d").describe("The session ends when it was not used for this time."),
    absolute: positiveDuration().prefault("180d").describe("The session ends this time after its begin, used or not."),
  })
  .transform(({ name: cookieNamed, idle, absolute }) => ({
    from: { cookie: cookieNamed },
    idleMs: idle,
    absoluteMs: absolute,
  }));

export const sourceSchema = z
  .strictObject({
    name: name()
      .optional()
      .describe(
        "The source's name; without this key it is the kind. It is part of its sessions' identity: a new name cuts them off from their grants.",
      ),
    jwt: jwt.optional().describe("A JWT of an issuer of yours, verified here."),
    metadata: metadata.optional().describe("What a filter before ext_authz has verified, in Envoy's dynamic metadata."),
    opaque: opaque.optional().describe("A random value of 128 bits or more that somebody else issues."),
    cookie: cookie
      .optional()
      .describe("A session cookie of bearerswap's own, for users who have no other session. Needs `connect`."),
    principal: principal.optional().describe("The SPIFFE ID in the client's certificate, as Envoy verified it."),
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

export const sessionsSchema = z
  .array(sourceSchema)
  .min(1, "must name at least one source of sessions")
  .describe("Where a request's session is found: a list of sources, tried in this order.");
