import { useEffect, useId, useState } from 'preact/hooks'
import { type ApiError, call } from '../api.ts'
import { CommandLine } from '../components/command-line.tsx'
import { Failure } from '../components/failure.tsx'
import { Icon } from '../components/icon.tsx'
import { signIn, signsInAgain } from '../session.ts'
import { useCall } from '../use-call.ts'

/** Asks for a token, or leads to the sign-in by OIDC. `why`: why the session before has ended. */
export function SignInPage({ why }: { why: ApiError | undefined }) {
  const [token, setToken] = useState('')
  const [error, setError] = useState<ApiError>()
  const [isBusy, setBusy] = useState(false)
  const ways = useCall(signal => call('getSignIn', { signal }), [])
  const inputId = useId()
  useEffect(() => {
    document.title = 'Sign in · Shadow'
  }, [])
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault()
    setBusy(true)
    setError(undefined)
    await signIn(token.trim()).catch((failure: ApiError) => setError(failure))
    setBusy(false)
  }
  const oidc = ways.value?.oidc
  useEffect(() => {
    if (why) signsInAgain(why)
  }, [why])
  return (
    <main class="sign-in">
      <form onSubmit={submit} class="card stack">
        <h1 class="brand">
          <Icon name="moon" /> Shadow
        </h1>
        {why && !error && <Failure error={why} />}
        {oidc && (
          <a class="button primary" href="/v1/dashboard/oidc/start">
            Sign in with {oidc.name}
          </a>
        )}
        <label for={inputId} class="field">
          <span>Token</span>
          <input
            id={inputId}
            type="password"
            value={token}
            onInput={event => setToken(event.currentTarget.value)}
            autocomplete="current-password"
            spellcheck={false}
            required
          />
        </label>
        <button type="submit" class={oidc ? '' : 'primary'} disabled={isBusy || token.trim() === ''}>
          {isBusy ? 'Signing in…' : 'Sign in'}
        </button>
        {error && <Failure error={error} />}
        <div class="stack faint">
          <p>A machine that has the command line signs you in by a link that works once:</p>
          <CommandLine command="shadow dashboard" />
        </div>
      </form>
    </main>
  )
}
