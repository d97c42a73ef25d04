import { z } from 'zod'

/** A part of the document of an app. */
export const PauseSchema = z
  .object({ at: z.iso.datetime(), by: z.string(), why: z.string().optional() })
  .describe('nothing wakes the app until it is resumed')
