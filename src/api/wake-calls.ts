import { z } from 'zod'
import { admin, appParams, type Call } from './call-shape.ts'
import { PagesSchema } from './page-schemas.ts'
import { AppSchema } from './schemas.ts'
import { WakeRulesSchema } from './wake-schemas.ts'

const shown = z.strictObject({ env: z.enum(['values', 'digests']).default('values') })

/** The calls about when an app is woken and when it sleeps. */
export const wakeCalls = {
  setWakeRules: {
    says: 'replace the rules by which requests do not wake an app; makes no revision and restarts nothing; If-Match',
    params: appParams,
    query: shown,
    body: WakeRulesSchema,
    answer: AppSchema,
    may: admin,
  },
  setPages: {
    says: 'replace the pages that browsers see while an app is woken, or where it cannot answer; a page that is left out is the one of the front; makes no revision and restarts nothing; If-Match',
    params: appParams,
    query: shown,
    body: PagesSchema,
    answer: AppSchema,
    may: admin,
  },
} satisfies Record<string, Call>
