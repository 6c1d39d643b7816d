import { z } from "zod";

/** What the version before reads of a row's `grant`. */
export const grantBefore = z.object({
  refreshToken: z.string().optional(),
  scope: z.string().optional(),
  subject: z.string().optional(),
  accessLifeMs: z.number().optional(),
  createdAt: z.number(),
  refreshedAt: z.number(),
});
