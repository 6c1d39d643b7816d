#!/usr/bin/env node
// The program is TypeScript, which older Node does not read. This file is plain JavaScript, so that such a Node says
// what is wrong.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major > 22 || (major === 22 && minor >= 19)) {
  await import("../src/main.ts");
} else {
  process.stderr.write(
    `bearerswap: needs Node 22.19 or later, and this is Node ${process.versions.node}: install a newer one, or use the Docker image\n`,
  );
  process.exitCode = 1;
}
