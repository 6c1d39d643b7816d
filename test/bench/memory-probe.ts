/**
 * Loaded into bearerswap's process with `--import`, beside `--expose-gc`: on SIGUSR2 prints the bytes in use after full
 * collections.
 */
process.on("SIGUSR2", async () => {
  for (let round = 0; round < 5; round += 1) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { heapUsed, external } = process.memoryUsage();
  console.log(`bytes in use: ${heapUsed + external}`);
});
