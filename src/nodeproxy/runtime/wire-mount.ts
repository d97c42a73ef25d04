import type { TaskDefinition } from '../../model/task.ts'
import { PLACEHOLDER } from '../../model/wire.ts'

export const CA_FILE = 'ca.pem'
export const BUNDLE_FILE = 'bundle.pem'
/** Where a container has the certificates by which it trusts its node. */
export const TRUST_FOLDER = '/run/shadow-ca'

// The usual authorities and ours: for programs that trust this file alone.
const OF_ALL = ['SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE', 'GIT_SSL_CAINFO', 'AWS_CA_BUNDLE', 'PIP_CERT']
// Ours, which these programs trust beside the usual ones.
const OF_MORE = ['NODE_EXTRA_CA_CERTS', 'DENO_CERT']

/** Whether requests of the app get secrets from its node. */
export const hasWire = ({ wire }: Pick<TaskDefinition, 'wire'>): boolean => wire !== undefined && wire.length > 0

/** The variables of an app whose requests get secrets; those of its definition go before. */
export function wireVariables({ wire = [], env }: Pick<TaskDefinition, 'wire' | 'env'>): readonly string[] {
  const variables = [
    ...wire.map(({ secret }) => [secret, PLACEHOLDER] as const),
    ...OF_ALL.map(name => [name, `${TRUST_FOLDER}/${BUNDLE_FILE}`] as const),
    ...OF_MORE.map(name => [name, `${TRUST_FOLDER}/${CA_FILE}`] as const),
  ]
  return [...new Map(variables)]
    .filter(([name]) => !Object.hasOwn(env, name))
    .map(([name, value]) => `${name}=${value}`)
}
