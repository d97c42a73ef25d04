import { z } from 'zod'
import { ShadowError } from '../lib/errors.ts'
import { MOST_PAGE_BYTES, pageHtml } from '../model/own-pages.ts'

const PageHtmlSchema = z
  .string()
  .max(MOST_PAGE_BYTES)
  .transform((text, context) => {
    try {
      return pageHtml(text)
    } catch (error) {
      if (!(error instanceof ShadowError)) throw error
      context.addIssue({ code: 'custom', message: error.message })
      return z.NEVER
    }
  })
  .meta({ override: { type: 'string' } })

/** Pages that an app has in place of those of the front. */
export const PagesSchema = z
  .strictObject({
    waiting: PageHtmlSchema.optional().describe('shown to browsers while the app is being woken'),
    error: PageHtmlSchema.optional().describe('shown to browsers where the app cannot answer'),
  })
  .meta({ id: 'Pages', description: `HTML, ${MOST_PAGE_BYTES} bytes at most each; their scripts do not run` })

/** The same as stored: an earlier version may have taken others. */
export const StoredPagesSchema = z.object({ waiting: z.string().optional(), error: z.string().optional() })
