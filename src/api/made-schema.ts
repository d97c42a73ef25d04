import { z } from 'zod'
import { MADE_BY } from '../model/release.ts'

export const NoteSchema = z
  .string()
  .max(200)
  .regex(/^\P{Cc}*$/u, 'cannot have control characters')
  .describe('what a person or a program says about the release, such as a commit')

/** Fields of a task definition that are of its release. */
export const releaseFields = {
  secretsVersion: z.int().optional().describe('the version of the secrets; left out: the app has none'),
  made: z
    .object({
      by: z.enum(MADE_BY),
      to: z.int().optional(),
      who: z.string().optional(),
      note: z.string().optional(),
    })
    .optional()
    .describe('what made the release, and the name of the token that was shown'),
}
