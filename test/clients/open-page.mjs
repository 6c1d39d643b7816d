#!/usr/bin/env node
// What clients start as their user's browser (BROWSER): it hands the address to the user of the test.
await fetch(process.env.TEST_USER, { method: "POST", body: process.argv[2] });
