import type { CallAnswer, CallInput } from '../api/call-shape.ts'
import type { masterCalls } from '../api/master-calls.ts'
import { masterPaths } from '../api/paths.ts'
import { store } from './store.ts'

type Calls = typeof masterCalls
export type CallName = keyof Calls & string
type Extra = { readonly signal?: AbortSignal; readonly headers?: Readonly<Record<string, string>> }
type Loose = { params?: Record<string, unknown>; query?: Record<string, unknown>; body?: unknown } & Extra

type Fault = { readonly field: string; readonly message: string }
type Problem = {
  readonly code?: string
  readonly detail?: string
  readonly hint?: string
  readonly faults?: readonly Fault[]
  readonly facts?: Readonly<Record<string, unknown>>
}

/** A failure as the master tells it (a problem document). Code `offline`: no master answered. */
export class ApiError extends Error {
  readonly code: string
  readonly status: number
  readonly hint: string | undefined
  readonly faults: readonly Fault[]
  readonly facts: Readonly<Record<string, unknown>>

  constructor(status: number, problem: Problem) {
    super(problem.detail ?? `the master answered ${status}`)
    this.code = problem.code ?? 'internal'
    this.status = status
    this.hint = problem.hint
    this.faults = problem.faults ?? []
    this.facts = problem.facts ?? {}
  }
}

/** Why the session has ended, once a call was answered by 401. */
export const sessionEnded = store<ApiError | undefined>(undefined)

const AGAIN_AFTER_MS = 300

/** Makes a call of the master's API. Throws an `ApiError`. The browser adds the cookie of the session and the Origin. */
export async function call<Name extends CallName>(
  name: Name,
  input: CallInput<Calls[Name]> & Extra,
): Promise<CallAnswer<Calls[Name]>> {
  const ask = (): Promise<Response> => send(name, input as Loose)
  const response = await ask().catch(async (error: unknown) => {
    // A browser ends what is under way when a network of its machine comes or goes. What only reads is asked again.
    const isRead = masterPaths[name].startsWith('GET ')
    if (!isRead || !(error instanceof ApiError) || error.code !== 'offline') throw error
    await new Promise(resolve => setTimeout(resolve, AGAIN_AFTER_MS))
    return ask()
  })
  return (response.status === 204 ? undefined : await response.json()) as CallAnswer<Calls[Name]>
}

/** Makes a call whose answer is a stream or text. */
export const send = async (name: CallName, input: Loose): Promise<Response> => {
  const [method = 'GET'] = masterPaths[name].split(' ')
  const response = await fetch(urlOf(name, input), {
    method,
    headers: { ...(input.body !== undefined && { 'content-type': 'application/json' }), ...input.headers },
    ...(input.body !== undefined && { body: JSON.stringify(input.body) }),
    ...(input.signal && { signal: input.signal }),
    cache: 'no-store',
  }).catch((cause: unknown) => {
    if (input.signal?.aborted) throw cause
    throw new ApiError(0, { code: 'offline', detail: 'the master does not answer' })
  })
  if (response.ok) return response
  const problem: Problem = await response.json().catch(() => ({}))
  const error = new ApiError(response.status, problem)
  if (response.status === 401 && name !== 'getDashboardSession' && name !== 'startDashboardSession')
    sessionEnded.set(error)
  throw error
}

/** The path and query of a call. */
export function urlOf(name: CallName, { params = {}, query = {} }: Loose): string {
  const [, path = ''] = masterPaths[name].split(' ')
  const filled = path.replace(/:(\w+)/g, (_, param: string) => encodeURIComponent(String(params[param])))
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(query))
    if (value !== undefined && value !== '') search.set(key, String(value))
  const text = search.toString()
  return text === '' ? filled : `${filled}?${text}`
}
