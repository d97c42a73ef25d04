import { faultOfLabel } from './names.ts'

/** The roles of machines that join a cluster. Masters need not join: they have the cluster's own key. */
export const MEMBER_ROLES = ['node', 'proxy'] as const
export type MemberRole = (typeof MEMBER_ROLES)[number]

/** A machine that has joined the cluster. `id` is another one each time that a machine joins by this name. */
export type Member = { readonly role: MemberRole; readonly name: string; readonly id: string }

/** Who shows a certificate of the cluster. */
export type Peer = { readonly role: 'master' } | Member

/** The DNS name in the certificates of masters. It is no hostname: a master is found by its URL, and known by this name. */
export const MASTER_HOST = 'master.shadow'

/** The DNS name in the certificates of a member: whoever connects to the member checks it. */
export const memberHost = ({ role, name, id }: Member): string => `${id}.${name}.${role}.shadow`

/** Who a certificate of the cluster belongs to, by its subject alternative name as Node prints it; undefined for any other certificate. */
export function peerOf(subjectAltName: string | undefined): Peer | undefined {
  if (subjectAltName === `DNS:${MASTER_HOST}`) return { role: 'master' }
  const [, id = '', name = '', role = ''] =
    /^DNS:([0-9a-f]{16})\.([a-z0-9-]+)\.(node|proxy)\.shadow$/.exec(subjectAltName ?? '') ?? []
  return faultOfLabel(name) === undefined ? { role: role as MemberRole, name, id } : undefined
}
