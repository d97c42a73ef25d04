import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider from 'oidc-provider'

/** A person at the provider: the claims that it tells. */
export type PersonThere = { readonly email?: string; readonly email_verified?: boolean; readonly groups?: string[] }

/** A provider of OpenID Connect that listens on this machine, with one client. */
export type TestProvider = AsyncDisposable & {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  /** Who signs in next, without being asked; undefined: the person declines. */
  person: string | undefined
}

/** Starts a real provider. `redirectUri` is asked for when the first sign-in comes. */
export async function testOidcProvider(
  people: Readonly<Record<string, PersonThere>>,
  redirectUris: readonly string[],
): Promise<TestProvider> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = {
    client_id: 'shadow',
    client_secret: 'a secret of sixty-four characters, so that it is long enough indeed',
  }
  const provider = new Provider(issuer, {
    clients: [{ ...client, redirect_uris: [...redirectUris], token_endpoint_auth_method: 'client_secret_post' }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['groups'] },
    features: { devInteractions: { enabled: false } },
    pkce: { required: () => true },
    cookies: { keys: ['a key of this test'] },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
  })
  provider.on('server_error', (_, error) => {
    throw error
  })
  const test: TestProvider = {
    issuer,
    clientId: client.client_id,
    clientSecret: client.client_secret,
    person: undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
  const answer = provider.callback()
  server.on('request', (request, response) => {
    if (!request.url?.startsWith('/interaction/')) return void answer(request, response)
    void interact(provider, test.person, request, response)
  })
  return test
}

/** Does what a person would do at the pages of the provider: signs in, and consents to what is asked. */
async function interact(
  provider: Provider,
  person: string | undefined,
  ...[request, response]: Parameters<Provider['interactionDetails']>
): Promise<void> {
  const { prompt, params, grantId, session } = await provider.interactionDetails(request, response)
  if (person === undefined) {
    const declined = { error: 'access_denied', error_description: 'the person has declined' }
    return provider.interactionFinished(request, response, declined)
  }
  if (prompt.name === 'login') return provider.interactionFinished(request, response, { login: { accountId: person } })
  const accountId = session?.accountId ?? person
  const grant =
    grantId === undefined
      ? new provider.Grant({ accountId, clientId: String(params['client_id']) })
      : await provider.Grant.find(grantId)
  grant?.addOIDCScope('openid email profile')
  const consent = { grantId: (await grant?.save()) ?? '' }
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true })
}
