import { expect, test } from "vitest";
import { isUsable } from "../../src/providers/learnt-url.ts";

const elsewhere = "https://mcp.example.com/mcp";
const here = "http://127.0.0.1:3000/mcp";

test.each([
  ["https://as.example.com/token", elsewhere, false, true],
  ["http://as.example.com/token", elsewhere, false, false],
  ["http://as.example.com/token", elsewhere, true, true],
  ["http://127.0.0.1/token", elsewhere, false, false],
  ["http://localhost/token", elsewhere, false, false],
  ["http://localhost:4000/token", here, false, true],
  ["http://as.example.com/token", here, false, false],
  ["ftp://as.example.com/token", elsewhere, true, false],
  ["file:///etc/passwd", elsewhere, true, false],
  ["javascript:alert(1)", elsewhere, true, false],
  ["https://user@as.example.com/", elsewhere, true, false],
  ["https://:secret@as.example.com/", elsewhere, true, false],
  ["https://as.example.com/#part", elsewhere, true, false],
  ["/token", elsewhere, true, false],
])("%s, named by %s, with allowInsecure %s: %s", (url, configured, allowInsecure, usable) => {
  expect(isUsable(url, { configured, allowInsecure })).toBe(usable);
});
