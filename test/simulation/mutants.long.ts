import { testMutants } from "./mutant-tests.ts";
import { mutants } from "./mutants.ts";
import { simulate } from "./simulation.ts";

testMutants(mutants, 150, simulate);
