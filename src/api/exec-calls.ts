import { admin, appParams, type Call, instanceParams } from './call-shape.ts'
import { SESSION_TYPE } from './exec-channel.ts'
import { nodeSessionQuery, openSessionQuery } from './exec-schemas.ts'

/** The master's calls about sessions in the containers of apps. */
export const execCalls = {
  openSession: {
    says: 'run a command in the app’s container; the bodies of request and answer carry frames, both at the same time: see docs/look-inside.md',
    params: appParams,
    query: openSessionQuery,
    content: SESSION_TYPE,
    answer: 'stream',
    isSession: true,
    may: admin,
  },
} satisfies Record<string, Call>

/** The same calls of a node. */
export const nodeExecCalls = {
  openSession: {
    says: 'open a session in an instance: see the call of the master',
    params: instanceParams,
    query: nodeSessionQuery,
    content: SESSION_TYPE,
    answer: 'stream',
    isSession: true,
    may: admin,
  },
} satisfies Record<string, Call>
