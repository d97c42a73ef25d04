import { joinTokenText } from '../../api/join-token.ts'
import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Handlers } from '../call.ts'
import type { Storage } from '../storage/storage.ts'
import type { ClusterAuthority } from './authority.ts'
import { joinTokens } from './join-tokens.ts'
import { type Members, memberRecords } from './members.ts'

/** Each node asks with each announcement, and the list changes seldom. */
const REVOKED_READ_EVERY_MS = 1_000

type ClusterCalls = Pick<
  Handlers,
  'getCluster' | 'createJoinToken' | 'joinCluster' | 'renewCertificate' | 'listMembers' | 'removeMember'
>

/** The calls about the cluster, and what else a master needs of it. */
export type ClusterHandlers = {
  readonly calls: ClusterCalls
  /** Undefined where there is no cluster. */
  readonly members: Members | undefined
  /** The ids of former members, at most a second old. */
  revoked(): Promise<string[]>
}

type Options = { readonly storage: Storage; readonly clock: Clock; readonly authority: ClusterAuthority | undefined }

/** The handlers of calls about the cluster; without one all of them fail with `not-found`. */
export function clusterHandlers({ storage, clock, authority }: Options): ClusterHandlers {
  if (authority === undefined) return { calls: WITHOUT, members: undefined, revoked: async () => [] }
  const tokens = joinTokens({ storage, clock })
  const members = memberRecords({ storage, clock, authority, tokens })
  let revoked: { readonly at: number; readonly ids: Promise<string[]> } | undefined
  return {
    members,
    revoked() {
      if (revoked === undefined || clock.now() - revoked.at >= REVOKED_READ_EVERY_MS) {
        const ids = members.revoked()
        revoked = { at: clock.now(), ids }
        ids.catch(() => {
          revoked = undefined
        })
      }
      return revoked.ids
    },
    calls: {
      async getCluster() {
        const { ca, url, createdAt } = authority
        return { value: { ca, url, createdAt } }
      },
      async createJoinToken({ body: { role, name, forMs } }) {
        const { secret, until } = await tokens.create(role, name, forMs)
        const { caHash, url } = authority
        return { value: { token: joinTokenText({ secret, caHash, url }), until } }
      },
      joinCluster: async ({ body }) => ({ value: await members.join(body) }),
      async renewCertificate({ body }, { caller }) {
        if (caller?.member === undefined)
          throw new ShadowError('forbidden', 'a certificate is renewed by a connection that shows the one before')
        return { value: await members.renew(caller, body.request) }
      },
      listMembers: async () => ({ value: { items: await members.list() } }),
      removeMember: ({ params }) => members.remove(params.role, params.name),
    },
  }
}

async function none(): Promise<never> {
  throw new ShadowError('not-found', 'this master has no cluster', {
    hint: 'shadow cluster init, and start the masters again',
  })
}

const WITHOUT: ClusterCalls = {
  getCluster: none,
  createJoinToken: none,
  joinCluster: none,
  renewCertificate: none,
  listMembers: none,
  removeMember: none,
}
