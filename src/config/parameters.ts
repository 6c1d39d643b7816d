import { z } from "zod";

const parameterValue = z.union([z.string(), z.array(z.string()).min(1)]);

/** Parameters of a token request, each once or more often, but for those that are set in another way. */
export function parametersBut(reserved: ReadonlySet<string>) {
  return z
    .record(z.string().min(1), parameterValue)
    .refine(
      (value) => Object.keys(value).every((key) => !reserved.has(key)),
      `must not hold ${[...reserved].join(", ")}: the client sets them`,
    )
    .transform((value) =>
      Object.entries(value).flatMap(([key, values]) => [values].flat().map((one): [string, string] => [key, one])),
    );
}

/** A text, or a list of them, each of which is sent as a parameter of that name. */
export function oneOrMore() {
  return z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);
}
