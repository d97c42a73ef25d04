import type * as Library from 'acme-client'
import { ShadowError } from '../../lib/errors.ts'
import type { Accounts } from './accounts.ts'
import { type Authority, type Challenge, type Order, OrderError } from './authority.ts'
import { transport } from './transport.ts'

type Options = {
  readonly directory: string
  readonly accounts: Accounts
  readonly email: string | undefined
  /** Of an authority that binds accounts to customers (RFC 8555, 7.3.4). */
  readonly binding: { readonly kid: string; readonly key: string } | undefined
  /** The certificates that sign the HTTPS of the authority, PEM; undefined: the usual ones. */
  readonly ca: string | undefined
}

/** How often the state of an order is asked for while the authority looks: after 250 ms, twice as long each time up to 5 s, for 90 s. */
const POLLING = { backoffMin: 250, backoffMax: 5_000, backoffAttempts: 22 }

/** The driver of acme-client. The library has one HTTP client in a process, so the authority that was opened last gives it its options. */
export function acmeClient({ directory, accounts, email, binding, ca }: Options): Authority {
  const send = transport(ca)
  const library = async (): Promise<typeof Library> => {
    const acme = await import('acme-client')
    acme.axios.defaults.adapter = send as unknown as NonNullable<typeof acme.axios.defaults.adapter>
    return acme
  }

  const signedIn = async (acme: typeof Library): Promise<Library.Client> => {
    const account = await accounts.at(directory)
    const client = new acme.Client({
      directoryUrl: directory,
      accountKey: account.key,
      ...(account.url !== null && { accountUrl: account.url }),
      ...(binding && { externalAccountBinding: { kid: binding.kid, hmacKey: binding.key } }),
      ...POLLING,
    })
    if (account.url !== null) return client
    const contact = email === undefined ? [] : [`mailto:${email}`]
    await client.createAccount({ termsOfServiceAgreed: true, contact })
    await accounts.setUrl(directory, client.getAccountUrl())
    return client
  }

  return {
    async order(order) {
      try {
        const acme = await library()
        return await orderBy(await signedIn(acme), acme, order)
      } catch (cause) {
        if (cause instanceof OrderError || cause instanceof ShadowError) throw cause
        const { message } = cause as Error
        // The authority has lost the account, as a test server does when it restarts: the next order makes it again.
        if (/account/i.test(message)) await accounts.setUrl(directory, null)
        throw new OrderError(`the authority says: ${message}`, { cause })
      }
    },
  }
}

async function orderBy(client: Library.Client, acme: typeof Library, order: Order): Promise<string> {
  const { name, kind, key, solver } = order
  const ordered = await client.createOrder({ identifiers: [{ type: 'dns', value: name }] })
  for (const authorization of await client.getAuthorizations(ordered)) {
    if (authorization.status === 'valid') continue
    const offered = authorization.challenges.find(({ type }) => type === kind)
    if (offered === undefined) throw new OrderError(`the authority offers no ${kind} for ${name}`)
    const answer = await client.getChallengeKeyAuthorization(offered)
    const challenge: Challenge =
      kind === 'http-01'
        ? { kind, token: offered.token, keyAuthorization: answer }
        : { kind, record: `_acme-challenge.${authorization.identifier.value}`, value: answer }
    try {
      await solver.put(challenge)
      await client.completeChallenge(offered)
      await client.waitForValidStatus(offered)
    } catch (cause) {
      throw (await refusal(client, ordered)) ?? cause
    } finally {
      await solver.clear(challenge)
    }
  }
  const [, request] = await acme.crypto.createCsr({ altNames: [name] }, key)
  return client.getCertificate(await client.finalizeOrder(ordered, request))
}

/** Why the authority did not accept a challenge, in its own words: the library keeps only a part of them. */
async function refusal(client: Library.Client, order: Library.Order): Promise<OrderError | undefined> {
  const authorizations = await client.getAuthorizations(order).catch(() => [])
  const [error] = authorizations.flatMap(({ challenges }) =>
    challenges.flatMap(challenge => (challenge as { error?: { type?: string; detail?: string } }).error ?? []),
  )
  if (error?.detail === undefined) return undefined
  const type = error.type?.replace('urn:ietf:params:acme:error:', '')
  return new OrderError(`the authority says: ${error.detail}${type === undefined ? '' : ` (${type})`}`)
}
