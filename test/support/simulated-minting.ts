import { decodeJwt, type JWTPayload } from "jose";

/** What a provider's token endpoint is asked, after the signature of the JWT in it was looked at. */
export interface MintQuestion {
  readonly fields: Readonly<Record<string, string>>;
  /** By Basic, or in the body. */
  readonly client: { readonly id: string; readonly secret: string; readonly by: "basic" | "post" } | undefined;
  /** The claims of the subject token or assertion; undefined where its signature, or its end, is no good. */
  readonly claims: JWTPayload | undefined;
}

export interface MintReply {
  readonly status: number;
  readonly body: object;
  /** Whom the token is for, where there is one. */
  readonly subject?: string;
}

/**
 * A provider that gives tokens for JWTs, as its documents and those who met its answers describe it; nothing here is
 * taken from the presets.
 */
export interface SimulatedMinting {
  readonly tokenPath: string;
  /** Where the issuer's path begins, for providers found by discovery. */
  readonly issuerPath?: string;
  readonly answer: (question: MintQuestion, token: string) => MintReply;
}

const grant = "urn:ietf:params:oauth:grant-type:";
const type = "urn:ietf:params:oauth:token-type:";
const accessToken = `${type}access_token`;
const failure = (status: number, error: string, error_description: string, more: object = {}): MintReply => ({
  status,
  body: { error, error_description, ...more },
});

/** "OAuth 2.0 On-Behalf-Of flow"; the error's further fields are of MicrosoftDocs/azure-docs#39189. */
const entra: SimulatedMinting = {
  tokenPath: "/contoso/oauth2/v2.0/token",
  issuerPath: "/contoso/v2.0",
  answer({ fields, client, claims }, token) {
    const aadsts = (error: string, code: number, words: string, more: object = {}) =>
      failure(400, error, `AADSTS${code}: ${words} Trace ID: 0 Correlation ID: 0 Timestamp: 2026-01-01 00:00:00Z`, {
        ...{ error_codes: [code], timestamp: "2026-01-01 00:00:00Z", trace_id: "0", correlation_id: "0" },
        ...{ error_uri: `https://login.microsoftonline.com/error?code=${code}`, ...more },
      });
    if (client?.by !== "post" || client.secret !== "secret")
      return { ...aadsts("invalid_client", 7000215, "Invalid client secret provided."), status: 401 };
    for (const name of ["assertion", "scope", "requested_token_use"])
      if (fields[name] === undefined)
        return aadsts("invalid_request", 900144, `The request body must contain the following parameter: '${name}'.`);
    if (fields.grant_type !== `${grant}jwt-bearer`) return aadsts("unsupported_grant_type", 70003, "Unsupported.");
    if (claims === undefined) return aadsts("invalid_grant", 50013, "Assertion failed signature validation.");
    const { sub = "", aud, weak } = claims;
    if (![aud].flat().includes(client.id))
      return aadsts("invalid_grant", 500131, "Assertion audience does not match the Client app.");
    if (weak === true)
      return aadsts("interaction_required", 50079, "You must enroll in multifactor authentication.", {
        claims: '{"access_token":{"polids":{"essential":true,"values":["9ab03e19"]}}}',
      });
    if (sub === "new")
      return aadsts("invalid_grant", 65001, "The user or administrator has not consented to use the application.", {
        suberror: "consent_required",
      });
    const answer = { token_type: "Bearer", scope: fields.scope, expires_in: 3_269, ext_expires_in: 3_269 };
    return { status: 200, subject: sub, body: { ...answer, access_token: token } };
  },
};

/** "Set up OAuth 2.0 On-Behalf-Of Token Exchange"; its answer to a user whom no policy admits: okta-django-samples#15. */
const okta: SimulatedMinting = {
  tokenPath: "/oauth2/default/v1/token",
  issuerPath: "/oauth2/default",
  answer({ fields, client, claims }, token) {
    if (client?.by !== "basic" || client.secret !== "secret")
      return failure(401, "invalid_client", "The client secret supplied for a confidential client is invalid.");
    if (fields.grant_type !== `${grant}token-exchange`) return failure(400, "unsupported_grant_type", "No.");
    if (fields.subject_token_type !== accessToken || claims === undefined)
      return failure(400, "invalid_request", "The subject_token is invalid.");
    if (fields.audience !== "com.api.atko") return failure(400, "invalid_target", "The audience is unknown.");
    if (fields.scope === undefined || /\b(?:openid|offline_access)\b/.test(fields.scope))
      return failure(400, "invalid_scope", "One or more scopes are not configured for the authorization server.");
    const { sub = "" } = claims;
    if (sub === "new")
      return failure(
        400,
        "access_denied",
        "Policy evaluation failed for this request, please check the policy configurations.",
      );
    const answer = { token_type: "Bearer", expires_in: 3_600, scope: fields.scope, issued_token_type: accessToken };
    return { status: 200, subject: sub, body: { ...answer, access_token: token } };
  },
};

/** "Configuring and using token exchange"; the words are those that Keycloak 26.7.3 was seen to answer. */
const keycloak: SimulatedMinting = {
  tokenPath: "/realms/staff/protocol/openid-connect/token",
  issuerPath: "/realms/staff",
  answer({ fields, client, claims }, token) {
    if (client?.secret !== "secret")
      return failure(401, "unauthorized_client", "Invalid client or Invalid client credentials");
    if (fields.grant_type !== `${grant}token-exchange`) return failure(400, "unsupported_grant_type", "No.");
    if (fields.subject_token_type !== accessToken)
      return failure(400, "invalid_request", "Parameter 'subject_token' supports access tokens only");
    const { sub = "", aud } = claims ?? {};
    if (claims === undefined || sub === "new") return failure(400, "invalid_request", "Invalid token");
    if (![aud].flat().includes(client.id))
      return failure(403, "access_denied", "Client is not within the token audience");
    if (fields.audience !== undefined && fields.audience !== "hr")
      return failure(400, "invalid_request", `Requested audience not available: ${fields.audience}`);
    const answer = { expires_in: 300, refresh_expires_in: 0, token_type: "Bearer", "not-before-policy": 0 };
    const more = { session_state: "1", scope: "email profile", issued_token_type: accessToken };
    return { status: 200, subject: sub, body: { ...answer, ...more, access_token: token } };
  },
};

/** "Using OAuth 2.0 for Server to Server Applications: JWT error codes"; whole descriptions as in the issues named in docs. */
const google: SimulatedMinting = {
  tokenPath: "/token",
  answer({ fields, client, claims }, token) {
    const invalidGrant = (words: string) => failure(400, "invalid_grant", words);
    if (client !== undefined || fields.grant_type !== `${grant}jwt-bearer`)
      return failure(400, "unsupported_grant_type", "Invalid grant_type.");
    const { iss, sub, aud, iat = 0, exp = 0, scope } = decodeJwt(fields.assertion ?? "");
    if (iss !== "gateway@project.iam.gserviceaccount.com") return invalidGrant("Invalid grant: account not found");
    if (claims === undefined) return invalidGrant("Invalid JWT Signature.");
    if (exp - iat > 3_600)
      return invalidGrant(
        "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.",
      );
    if (aud !== "https://oauth2.googleapis.com/token" || scope === undefined)
      return failure(400, "invalid_scope", "Invalid OAuth scope or ID token audience provided.");
    if (sub === "new@example.com") return invalidGrant("Invalid email or User ID");
    if (sub?.endsWith("@other.example") === true)
      return failure(
        401,
        "unauthorized_client",
        "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.",
      );
    return { status: 200, subject: sub ?? "", body: { access_token: token, expires_in: 3_599, token_type: "Bearer" } };
  },
};

/** "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration", and the issues that the preset's page names. */
const salesforce: SimulatedMinting = {
  tokenPath: "/services/oauth2/token",
  answer({ fields, client, claims }, token) {
    const invalidGrant = (words: string) => failure(400, "invalid_grant", words);
    if (client !== undefined || fields.grant_type !== `${grant}jwt-bearer`)
      return failure(400, "unsupported_grant_type", "grant type not supported");
    if (fields.scope !== undefined) return failure(400, "invalid_request", "scope parameter not supported");
    const { iss, sub = "", aud, exp = 0, iat = 0 } = decodeJwt(fields.assertion ?? "");
    if (iss !== "consumer-key") return failure(400, "invalid_client_id", "client identifier invalid");
    if (aud !== "https://login.salesforce.com") return invalidGrant("audience is invalid");
    if (claims === undefined || exp - iat > 180) return invalidGrant("invalid assertion");
    if (sub === "new@example.com") return invalidGrant("user hasn't approved this consumer");
    if (sub === "barred@example.com")
      return failure(400, "invalid_app_access", "user is not admin approved to access this app");
    if (sub === "gone@example.com") return failure(400, "inactive_user", "user is inactive");
    const answer = { scope: "id full", instance_url: "https://eu6.salesforce.com", token_type: "Bearer" };
    return {
      status: 200,
      subject: sub,
      body: { ...answer, id: "https://login.salesforce.com/id/1", access_token: token },
    };
  },
};

export const simulatedMinting = { entra, okta, keycloak, google, salesforce };
export type MintingPreset = keyof typeof simulatedMinting;
