import { z } from 'zod'
import { SESSION_END_KINDS, SESSION_END_REASONS } from '../model/session.ts'
import { admin, appParams, type Call } from './call-shape.ts'
import { ConnectSchema } from './connect-schema.ts'
import { AppNameSchema, AppSchema } from './schemas.ts'
import { ConnectedSchema, SessionViewSchema, TemplateSchema } from './session-schemas.ts'

const sessionParams = z.strictObject({ session: AppNameSchema })

/** The calls about templates and their sessions. */
export const sessionCalls = {
  setTemplate: {
    says: 'make an app a template, or change its rules: nothing wakes it, and sessions are made from its current release; makes no revision; If-Match',
    params: appParams,
    body: TemplateSchema,
    answer: AppSchema,
    may: admin,
  },
  connectSession: {
    says: 'get the session with the key, or make one: of any number of calls at the same time one makes it; a session that is ending is waited for; 409 tag-conflict; 503 without room, and nothing is left behind',
    body: ConnectSchema,
    answer: ConnectedSchema,
    may: admin,
  },
  listSessions: {
    says: 'list the sessions that live, by name, page by page',
    query: z.strictObject({
      template: AppNameSchema.optional(),
      after: AppNameSchema.optional(),
      limit: z.coerce.number().int().min(1).max(500).default(100),
    }),
    answer: z.object({ items: z.array(SessionViewSchema), next: z.string().nullable() }),
    may: admin,
  },
  getSession: {
    says: 'show a session, also for a day after its end',
    params: sessionParams,
    answer: SessionViewSchema,
    may: admin,
  },
  followSession: {
    says: 'follow a session: server-sent events with state, at and end, from its first state on, until it has ended; Last-Event-ID goes on after that event',
    params: sessionParams,
    answer: 'stream',
    may: admin,
  },
  endSession: {
    says: 'end a session; soft: SIGTERM, with the drain and the grace of its definition; hard: at once; answers when it has ended, and again afterwards',
    params: sessionParams,
    query: z.strictObject({ kind: z.enum(SESSION_END_KINDS).default('soft') }),
    answer: SessionViewSchema,
    may: admin,
  },
  revokeTokens: {
    says: 'revoke the tokens of a user, or all: of a session, or of all sessions of a template; fronts refuse them at once',
    params: appParams,
    body: z.strictObject({ user: z.string().optional().describe('left out: those of all users') }),
    answer: z.object({ revoked: z.int() }),
    may: admin,
  },
  sessionEnded: {
    says: 'tell that a session has ended on this node',
    params: sessionParams,
    body: z.strictObject({
      createdAt: z.iso
        .datetime()
        .describe('when the session was made: another one may have its name since, and that one goes on'),
      reason: z.enum(SESSION_END_REASONS),
      exitCode: z.int().optional(),
      detail: z.string().max(1_000).optional(),
    }),
    answer: 'nothing',
    may: ['node'],
  },
} satisfies Record<string, Call>
