/** An instant (epoch ms) as clocks on the wall show it: 12:00:01. */
export function timeOf(at: number): string {
  return new Date(at).toTimeString().slice(0, 8);
}
