import { testSeeds } from "./seeds.ts";

testSeeds(251, 375);
testSeeds(376, 500);
