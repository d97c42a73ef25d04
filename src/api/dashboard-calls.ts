import { z } from 'zod'
import { admin, type Call, flag } from './call-shape.ts'

/** How a person signed in to the dashboard. */
const SIGNED_IN_BY = ['token', 'link', 'oidc'] as const

const DashboardSessionSchema = z
  .object({
    name: z.string().describe('of the token, or of the person who signed in by OIDC'),
    role: z.enum(['admin', 'owner']),
    apps: z.array(z.string()).nullable().describe('the apps of an owner, as names and as patterns; null: all apps'),
    expiresAt: z.iso.datetime().describe('when the session ends if nothing more is asked by it'),
    signedInBy: z.enum(SIGNED_IN_BY),
  })
  .meta({ id: 'DashboardSession' })

export type DashboardSession = z.output<typeof DashboardSessionSchema>

/** The calls by which a browser signs in to the dashboard. The session is a cookie, which these calls set, read and remove. */
export const dashboardCalls = {
  getSignIn: {
    says: 'in which ways a person may sign in to the dashboard, besides a token or a one-time link',
    answer: z.object({
      oidc: z.object({ name: z.string().describe('of the provider, for people') }).nullable(),
    }),
    may: 'anyone',
  },
  startDashboardSession: {
    says: 'sign in to the dashboard: exchange a token of the role admin or owner, or the code of a one-time link, for a cookie; fails with unauthorised for a wrong token or a code that was used or is too old, with forbidden for another role or another origin, and with rate-limited after too many wrong ones',
    body: z.union([
      z.strictObject({ token: z.string().min(1).max(1_000) }),
      z.strictObject({ code: z.string().min(1).max(1_000) }),
    ]),
    answer: DashboardSessionSchema,
    status: 201,
    may: 'anyone',
  },
  getDashboardSession: {
    says: 'who is signed in by the cookie of the request; fails with unauthorised if nobody is, and facts.session is none, expired, unreadable or revoked',
    answer: DashboardSessionSchema,
    may: admin,
  },
  endDashboardSession: { says: 'sign out of the dashboard: removes the cookie', answer: 'nothing', may: 'anyone' },
  startOidc: {
    says: 'send the browser to the provider of OpenID Connect to sign in; page: the path of the one that it wants afterwards; quiet: for a session that has expired: the provider asks nothing, and the first page comes if it would have to',
    query: z.strictObject({ page: z.string().max(1_000).default('/'), quiet: flag }),
    content: 'text/html',
    answer: 'stream',
    may: 'anyone',
  },
  finishOidc: {
    says: 'where the provider sends the browser back: sets the cookie, and sends it to the page that it wanted; else a page that says what happened: 401, 403 for a person whom SHADOW_OIDC_PEOPLE does not name, or 503',
    query: z.looseObject({}),
    content: 'text/html',
    answer: 'stream',
    may: 'anyone',
  },
  createDashboardLink: {
    says: 'make a link that signs its first user in to the dashboard with the token of the caller, once and within two minutes, at any master',
    answer: z.object({ url: z.string(), until: z.iso.datetime() }),
    status: 201,
    may: admin,
  },
} satisfies Record<string, Call>
