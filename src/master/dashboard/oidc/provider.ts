import type { Configuration } from 'openid-client'
import type { Clock } from '../../../lib/clock.ts'
import { ShadowError } from '../../../lib/errors.ts'

/** What a sign-in has to remember until the browser comes back. */
export type Flow = { readonly state: string; readonly nonce: string; readonly verifier: string }

/** What the provider says of a person. */
export type Claims = Readonly<Record<string, unknown>> & { readonly sub: string }

/** A provider of OpenID Connect, by the authorization code flow with PKCE. */
export interface OidcProvider {
  /**
   * Where to send the browser. `quiet`: the provider must show nothing, and refuses if it would have to. Fails with
   * `provider-unreachable`.
   */
  begin(redirectUri: string, quiet: boolean): Promise<{ readonly url: string; readonly flow: Flow }>
  /**
   * Who has signed in, by the address at which the browser came back. Fails with `unauthorised` if the provider or the answer says no, and
   * with `provider-unreachable`.
   */
  finish(flow: Flow, cameBackAt: URL): Promise<Claims>
}

type Options = {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string | undefined
  readonly clock: Pick<Clock, 'now'>
}

const ANSWERS_WITHIN_S = 10
/** How long the provider's own description of itself is believed. */
const DESCRIBED_FOR_MS = 3_600_000

export function oidcProvider({ issuer, clientId, clientSecret, clock }: Options): OidcProvider {
  // Loaded at the first sign-in: most masters have none.
  const library = () => import('openid-client')
  let described: { readonly configuration: Promise<Configuration>; readonly until: number } | undefined

  async function discover(): Promise<Configuration> {
    const { allowInsecureRequests, ClientSecretPost, discovery, None } = await library()
    return discovery(
      new URL(issuer),
      clientId,
      undefined,
      clientSecret === undefined ? None() : ClientSecretPost(clientSecret),
      // The setting lets http through for a provider on this machine alone.
      { timeout: ANSWERS_WITHIN_S, execute: issuer.startsWith('http:') ? [allowInsecureRequests] : [] },
    )
  }

  async function configured(): Promise<Configuration> {
    if (described === undefined || described.until <= clock.now())
      described = { configuration: discover(), until: clock.now() + DESCRIBED_FOR_MS }
    try {
      return await described.configuration
    } catch (cause) {
      described = undefined
      throw unreachable(issuer, cause)
    }
  }

  return {
    async begin(redirectUri, quiet) {
      const configuration = await configured()
      const { buildAuthorizationUrl, calculatePKCECodeChallenge, randomNonce, randomPKCECodeVerifier, randomState } =
        await library()
      const flow = { state: randomState(), nonce: randomNonce(), verifier: randomPKCECodeVerifier() }
      const url = buildAuthorizationUrl(configuration, {
        redirect_uri: redirectUri,
        scope: 'openid email profile',
        state: flow.state,
        nonce: flow.nonce,
        code_challenge: await calculatePKCECodeChallenge(flow.verifier),
        code_challenge_method: 'S256',
        ...(quiet && { prompt: 'none' }),
      })
      return { url: url.href, flow }
    },

    async finish({ state, nonce, verifier }, cameBackAt) {
      const configuration = await configured()
      const { authorizationCodeGrant, fetchUserInfo } = await library()
      try {
        const answered = await authorizationCodeGrant(configuration, cameBackAt, {
          expectedState: state,
          expectedNonce: nonce,
          pkceCodeVerifier: verifier,
          idTokenExpected: true,
        })
        const claims = answered.claims()
        if (claims === undefined) throw new ShadowError('unauthorised', `${issuer} has sent no ID token`)
        // Many providers tell the e-mail address and the groups there alone.
        if (configuration.serverMetadata().userinfo_endpoint === undefined) return claims
        return { ...claims, ...(await fetchUserInfo(configuration, answered.access_token, claims.sub)) }
      } catch (error) {
        throw error instanceof ShadowError ? error : await refusal(error)
      }
    },
  }

  async function refusal(cause: unknown): Promise<ShadowError> {
    const { AuthorizationResponseError, ClientError, ResponseBodyError } = await library()
    if (cause instanceof AuthorizationResponseError || cause instanceof ResponseBodyError) {
      const why = cause.error_description === undefined ? cause.error : `${cause.error}: ${cause.error_description}`
      return new ShadowError('unauthorised', `${issuer} did not sign this person in: ${why.slice(0, 300)}`, {
        cause,
        facts: { provider: cause.error.slice(0, 100) },
      })
    }
    if (cause instanceof ClientError && cause.code !== 'OAUTH_TIMEOUT' && cause.code !== 'OAUTH_ABORT')
      return new ShadowError('unauthorised', `what ${issuer} sent is not taken: ${cause.message}`, { cause })
    return unreachable(issuer, cause)
  }
}

const unreachable = (issuer: string, cause: unknown): ShadowError =>
  new ShadowError('provider-unreachable', `${issuer} does not answer as a provider of OpenID Connect`, {
    cause,
    retryAfterMs: 5_000,
    hint: 'see SHADOW_OIDC_ISSUER, and the log of the master; a token signs in meanwhile: shadow dashboard',
  })
