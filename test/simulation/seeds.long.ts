import { testSeeds } from "./seeds.ts";

testSeeds(126, 250);
testSeeds(251, 375);
testSeeds(376, 500);
