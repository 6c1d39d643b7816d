/** What to do with an input of this many bytes. */
export type Work = (size: number) => unknown;

const small = 16 * 1_024;
const large = 64 * 1_024;
const rounds = 5;
/** What a busy machine may add to one measurement, ms. */
const noiseMs = 10;

/**
 * How much longer the work takes for 64 KiB than for 16: 4 where it grows with its input, 16 where it grows with the
 * square. Medians of some rounds, alternating.
 */
export async function growth(work: Work): Promise<number> {
  const times: Record<number, number[]> = { [small]: [], [large]: [] };
  await work(small);
  for (let round = 0; round < rounds; round += 1)
    for (const size of [small, large]) times[size]?.push(await timed(work, size));
  return median(times[large]) / (median(times[small]) + noiseMs);
}

async function timed(work: Work, size: number): Promise<number> {
  const from = performance.now();
  await work(size);
  return performance.now() - from;
}

function median(values: readonly number[] = []): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
