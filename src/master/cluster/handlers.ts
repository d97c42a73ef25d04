import { type JoinToken, joinTokenText } from '../../api/join-token.ts'
import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { MemberRole } from '../../model/member.ts'
import type { NodeName } from '../../model/names.ts'
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
  /** A token to join by, for a node that has not joined; fails with `already-exists`, and with `not-found` where there is no cluster. */
  tokenFor(node: NodeName, forMs: number): Promise<JoinToken>
  /** Removes the tokens of this node that were not used. */
  forgetTokensFor(node: NodeName): Promise<void>
}

type Options = { readonly storage: Storage; readonly clock: Clock; readonly authority: ClusterAuthority | undefined }

/** The handlers of calls about the cluster; without one all of them fail with `not-found`. */
export function clusterHandlers({ storage, clock, authority }: Options): ClusterHandlers {
  if (authority === undefined) return WITHOUT
  const tokens = joinTokens({ storage, clock })
  const members = memberRecords({ storage, clock, authority, tokens })
  const tokenFor = async (role: MemberRole, name: NodeName, forMs: number) => {
    const { secret, until } = await tokens.create(role, name, forMs)
    const { caHash, url } = authority
    return { secret, caHash, url, until }
  }
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
    async tokenFor(node, forMs) {
      if (await members.has('node', node))
        throw new ShadowError('already-exists', `a machine has joined the cluster as ${node} already`)
      return tokenFor('node', node, forMs)
    },
    forgetTokensFor: node => tokens.removeFor('node', node),
    calls: {
      async getCluster() {
        const { ca, url, createdAt } = authority
        return { value: { ca, url, createdAt } }
      },
      async createJoinToken({ body: { role, name, forMs } }) {
        const { until, ...token } = await tokenFor(role, name, forMs)
        return { value: { token: joinTokenText(token), until } }
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

const WITHOUT_CALLS: ClusterCalls = {
  getCluster: none,
  createJoinToken: none,
  joinCluster: none,
  renewCertificate: none,
  listMembers: none,
  removeMember: none,
}

const WITHOUT: ClusterHandlers = {
  calls: WITHOUT_CALLS,
  members: undefined,
  revoked: async () => [],
  tokenFor: none,
  forgetTokensFor: async () => undefined,
}
