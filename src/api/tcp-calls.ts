import { z } from 'zod'
import { admin, appParams, type Call, frontParams, instanceParams, shown } from './call-shape.ts'
import { SESSION_TYPE } from './exec-channel.ts'
import { nodeSessionQuery } from './exec-schemas.ts'
import { AppSchema } from './schemas.ts'
import { FrontPortsSchema, FrontReportSchema, StoredTcpPortsSchema, TcpPortsSchema } from './tcp-schemas.ts'

/** The calls about raw TCP ports of apps. */
export const tcpCalls = {
  setTcp: {
    says: 'replace the raw TCP ports of an app; makes no revision and restarts nothing; If-Match; fails with port-taken if another app has one of them',
    params: appParams,
    query: z.strictObject(shown),
    body: TcpPortsSchema,
    answer: AppSchema,
    may: admin,
  },
  getTcp: {
    says: 'read the raw TCP ports of an app, with what each front said of them last',
    params: appParams,
    answer: z.object({ ports: StoredTcpPortsSchema, fronts: z.array(FrontPortsSchema) }),
    may: admin,
  },
  reportTcp: {
    says: 'tell which of the ports that apps ask for this front listens on, and why not on the others',
    params: frontParams,
    body: FrontReportSchema,
    answer: 'nothing',
    may: ['admin', 'proxy'],
  },
} satisfies Record<string, Call>

/** The calls of a node about them. */
export const nodeTcpCalls = {
  openConnection: {
    says: 'join with a TCP port of an instance, waking it first: the streams of a session, which begins with the kind connection',
    params: instanceParams,
    query: nodeSessionQuery,
    content: SESSION_TYPE,
    answer: 'stream',
    isSession: true,
    may: ['admin', 'proxy'],
  },
} satisfies Record<string, Call>
