import {
  createLoadGenerator,
  type LoadGenerator,
  type LoadLength,
  type LoadResult,
  type LoadTarget,
  runTogether,
} from "./load-generator.ts";

/** What the parent process asks for. */
export type WorkerCall =
  | { readonly open: string; readonly target: LoadTarget }
  | { readonly run: readonly string[]; readonly length: LoadLength }
  | { readonly close: string };
/** Answered one by one, in the order of the calls. */
export type WorkerAnswer = { readonly result: LoadResult | undefined } | { readonly error: string };

const generators = new Map<string, LoadGenerator>();

function opened(name: string): LoadGenerator {
  const generator = generators.get(name);
  if (generator === undefined) throw new Error(`nothing is open under the name ${name}`);
  return generator;
}

async function answer(call: WorkerCall): Promise<LoadResult | undefined> {
  if ("run" in call) return runTogether(call.run.map(opened), call.length);
  if ("open" in call) {
    generators.set(call.open, await createLoadGenerator(call.target));
    return undefined;
  }
  generators.get(call.close)?.close();
  generators.delete(call.close);
  return undefined;
}

process.on("message", (call: WorkerCall) => {
  answer(call).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on("disconnect", () => process.exit());
