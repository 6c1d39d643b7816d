// Logs a user in at the demo's identity provider and prints the token response, as `bearerswap grants put` reads it.
const { ISSUER = "http://idp:9400" } = process.env;
const response = await fetch(`${ISSUER}/login`, { method: "POST" });
if (!response.ok) throw new Error(`the login failed: ${response.status}`);
console.log(await response.text());

export {};
