import { testSeeds } from "./seeds.ts";

testSeeds(1, 125);
testSeeds(126, 250);
