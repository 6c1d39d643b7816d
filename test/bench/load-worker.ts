import {
  createLoadGenerator,
  type LoadGenerator,
  type LoadLength,
  type LoadResult,
  type LoadTarget,
  runTogether,
} from "./load-generator.ts";
import { answerCalls } from "./worker-process.ts";

/** What the parent process asks for. */
export type LoadCall =
  | { readonly open: string; readonly target: LoadTarget }
  | { readonly run: readonly string[]; readonly length: LoadLength }
  | { readonly close: string };

const generators = new Map<string, LoadGenerator>();

function opened(name: string): LoadGenerator {
  const generator = generators.get(name);
  if (generator === undefined) throw new Error(`nothing is open under the name ${name}`);
  return generator;
}

answerCalls(async (call: LoadCall): Promise<LoadResult | undefined> => {
  if ("run" in call) return runTogether(call.run.map(opened), call.length);
  if ("open" in call) {
    generators.set(call.open, await createLoadGenerator(call.target));
    return undefined;
  }
  generators.get(call.close)?.close();
  generators.delete(call.close);
  return undefined;
});
