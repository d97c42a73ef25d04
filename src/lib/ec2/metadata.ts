const METADATA = 'http://169.254.169.254'
const ANSWERS_WITHIN_MS = 3_000
const TOKEN_LASTS_S = 60

/** Reads what the metadata service says of this machine; undefined for what it does not have. */
export type ReadMetadata = (path: string) => Promise<string | undefined>

/**
 * Opens the instance metadata service by its second version: that needs a token, which a forged request from a web page or a naive proxy does
 * not get. The token is good for a minute. Fails where this is no machine of EC2.
 */
export async function openMetadata(metadata: string = METADATA): Promise<ReadMetadata> {
  const put = { method: 'PUT', headers: { 'X-aws-ec2-metadata-token-ttl-seconds': `${TOKEN_LASTS_S}` } }
  const token = await answerOf(`${metadata}/latest/api/token`, put)
  if (token === undefined) throw new Error(`${metadata} gives no token`)
  const headers = { 'X-aws-ec2-metadata-token': token }
  return path => answerOf(`${metadata}/latest/meta-data/${path}`, { headers })
}

async function answerOf(url: string, init: RequestInit): Promise<string | undefined> {
  const answer = await fetch(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(ANSWERS_WITHIN_MS) })
  const text = (await answer.text()).trim()
  if (answer.status === 404) return undefined
  if (!answer.ok || text === '') throw new Error(`${url} answered ${answer.status}`)
  return text
}
