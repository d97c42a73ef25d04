import { z } from 'zod'
import { CERTIFICATE_STATES } from '../model/ordered-certificate.ts'
import type { Call } from './call-shape.ts'
import type { certificatePaths } from './certificate-paths.ts'
import { HostnameSchema } from './schemas.ts'

/** The token of a challenge (RFC 8555, 8.1). */
export const CHALLENGE_TOKEN = /^[A-Za-z0-9_-]{16,256}$/

/** The calls by which fronts get certificates that come by ACME. */
export const certificateCalls = {
  wantCertificate: {
    says: 'ask for the certificate of a hostname that an app has; if there is none, one is ordered; known: the version that the front has',
    params: z.strictObject({ hostname: HostnameSchema }),
    body: z.strictObject({ known: z.string().max(64).optional() }),
    answer: z.object({
      state: z
        .enum(CERTIFICATE_STATES)
        .describe(
          'ready; ordered: ask again in a second; failed: see problem; none: no certificate is ordered for this name',
        ),
      problem: z.string().optional(),
      certificate: z
        .object({
          name: z.string().describe('the hostname, or the wildcard that covers it'),
          version: z.string(),
          chain: z.string(),
          key: z.string(),
        })
        .optional()
        .describe('left out if the front has this version'),
    }),
    may: ['proxy'],
  },
  getChallenge: {
    says: 'read the answer to a challenge by HTTP of the certificate authority',
    params: z.strictObject({ challenge: z.string().regex(CHALLENGE_TOKEN) }),
    answer: z.object({ keyAuthorization: z.string() }),
    may: ['proxy'],
  },
} satisfies Record<keyof typeof certificatePaths, Call>
