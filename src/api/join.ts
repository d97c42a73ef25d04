import { rm } from 'node:fs/promises'
import { Agent } from 'node:https'
import { type Clock, timestamp } from '../lib/clock.ts'
import { ShadowError, systemCode } from '../lib/errors.ts'
import { writeWhole } from '../lib/files.ts'
import { call, json } from '../lib/http/api/call.ts'
import { readPrivate } from '../lib/private-file.ts'
import { Credentials } from '../lib/tls/credentials.ts'
import { certificateRequest, newPrivateKey } from '../lib/tls/x509.ts'
import { MASTER_CALL_WITHIN } from '../model/intervals.ts'
import { MASTER_HOST, type MemberRole } from '../model/member.ts'
import { masterClient } from './client.ts'
import { certificateHash, type JoinToken } from './join-token.ts'
import { masterCalls } from './master-calls.ts'
import { keepMembership, type Membership, membershipFile } from './membership.ts'
import { masterPaths } from './paths.ts'

type Join = {
  readonly token: JoinToken
  /** URL of the masters, if it is another one than the token has. */
  readonly master?: string | undefined
  readonly role: MemberRole
  /** The folder of the daemon: `<data>/node` or `<data>/proxy`. */
  readonly folder: string
  readonly clock: Clock
}

/**
 * Makes this machine a member of the cluster, and keeps its membership in the folder. Until the answer is kept nothing of the machine has
 * changed, and the same call may be repeated: the key is kept for it, so that an answer that was lost costs no token.
 */
export async function joinCluster({ token, master = token.url, role, folder, clock }: Join): Promise<Membership> {
  const file = membershipFile(folder)
  if ((await readPrivate(file)) !== undefined)
    throw new ShadowError('already-exists', `this machine has joined a cluster already: ${file}; nothing was changed`, {
      hint: `to join anew, end its daemon and remove that file`,
    })
  const ca = await authorityAt(master, token.caHash)
  const keyFile = `${folder}/join-key`
  const kept = await readPrivate(keyFile)
  const key = kept ?? newPrivateKey()
  if (kept === undefined) await writeWhole(keyFile, key)
  const tls = { servername: MASTER_HOST, credentials: new Credentials({ ca }) }
  const client = masterClient({ url: master, tls, withinMs: MASTER_CALL_WITHIN })
  const request = await certificateRequest(key)
  const answer = await client.raw('joinCluster', {
    body: { secret: token.secret, role, request, at: timestamp(clock) },
    signal: AbortSignal.timeout(MASTER_CALL_WITHIN),
  })
  const host = answer.body.socket.localAddress ?? ''
  const { name, id, certificate } = masterCalls.joinCluster.answer.parse(await json(answer))
  const membership = await keepMembership(folder, { role, name, id, master, host, ca, certificate, key })
  await rm(keyFile, { force: true })
  return membership
}

/** The certificate of the CA that the master at the URL has, if its hash is the right one. Until then nothing of the master is trusted. */
async function authorityAt(master: string, hash: string): Promise<string> {
  const [method = '', path = ''] = masterPaths.getCluster.split(' ')
  const url = new URL(path, master)
  if (url.protocol !== 'https:')
    throw new ShadowError('bad-input', `${master} is not an https:// URL: masters of a cluster speak TLS`)
  const agent = new Agent({ rejectUnauthorized: false }) // the hash is what it is known by
  try {
    const answer = await call({ method, url, agent, signal: AbortSignal.timeout(MASTER_CALL_WITHIN) })
    const { ca } = masterCalls.getCluster.answer.parse(await json(answer))
    if (certificateHash(ca) === hash) return ca
  } catch (cause) {
    if (systemCode(cause) === undefined && !(cause instanceof DOMException)) throw cause
    throw new ShadowError('master-unreachable', `${master} does not answer: ${(cause as Error).message}`, { cause })
  }
  throw new ShadowError(
    'unauthorised',
    `${master} has another CA than this token is for: it is not the master that made it`,
    {
      hint: 'compare with shadow cluster show on a master; somebody may stand in between',
    },
  )
}
