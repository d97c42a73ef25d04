import { ShadowError } from '../lib/errors.ts'
import { glob } from '../lib/glob.ts'
import { type Network, network } from './access.ts'
import { normalisedPath } from './normalised-path.ts'

/**
 * Which requests do not wake an app, and do not keep it awake. These rules belong to the app and not to its task definition: fronts apply
 * them, and a change restarts nothing.
 */
export type WakeRules = {
  /** A request that matches one of these does not wake the app. */
  readonly ignore: readonly IgnoreRule[]
  /** Paths, besides `USUAL_ANSWERS`, for which the last answer of the app is given while it sleeps. */
  readonly answers: readonly string[]
}

/** A request matches if all fields match that are there. At least one is. */
export type IgnoreRule = {
  /** The whole path, decoded and without the query; `*` stands for any characters. */
  readonly path?: string | undefined
  /** A part of the header `User-Agent`, in upper or lower case; `*` stands for any characters. */
  readonly agent?: string | undefined
  readonly method?: string | undefined
  /** The network of the client. */
  readonly network?: Network | undefined
}

export const MOST_IGNORE_RULES = 50
export const MOST_ANSWERS = 10
const LONGEST_PATTERN = 200
/** Paths that robots and browsers ask for by themselves. */
export const USUAL_ANSWERS: readonly string[] = ['/robots.txt', '/favicon.ico']

export const NO_WAKE_RULES: WakeRules = { ignore: [], answers: [] }

/** Whether there is no rule. */
export const hasNoRule = ({ ignore, answers }: WakeRules): boolean => ignore.length === 0 && answers.length === 0

const FIELDS = ['path', 'agent', 'method', 'network'] as const
const WRITTEN = 'write it like path:/wp-*, agent:bot, method:HEAD or network:10.0.0.0/8'

/** Parses a rule such as `method:HEAD path:/`; fails with `bad-input`. */
export function ignoreRule(text: string): IgnoreRule {
  const shown = JSON.stringify(text.slice(0, 100))
  const fields: Partial<Record<(typeof FIELDS)[number], string>> = {}
  // A value goes on up to the next field, since names of browsers have spaces.
  const parts = text.trim().split(/\s+(?=(?:path|agent|method|network):)/)
  for (const part of parts) {
    const field = FIELDS.find(name => part.startsWith(`${name}:`))
    if (field === undefined) throw new ShadowError('bad-input', `${shown} is not a rule; ${WRITTEN}`)
    if (fields[field] !== undefined) throw new ShadowError('bad-input', `${shown} has ${field} twice`)
    fields[field] = part.slice(field.length + 1)
  }
  return checkedRule(fields)
}

/** The rule in its canonical form; fails with `bad-input`, which names the field. */
export function checkedRule(fields: { readonly [F in keyof IgnoreRule]: string | undefined }): IgnoreRule {
  const { path, agent, method, network: clients } = fields
  if ([path, agent, method, clients].every(one => one === undefined))
    throw new ShadowError('bad-input', `a rule without a field would match all requests; ${WRITTEN}`)
  return {
    ...(path !== undefined && { path: pathPattern(path) }),
    ...(agent !== undefined && { agent: pattern('agent', agent) }),
    ...(method !== undefined && { method: methodOf(method) }),
    ...(clients !== undefined && { network: network(clients) }),
  }
}

/** Parses a path whose last answer is kept; fails with `bad-input`. */
export function answerPath(text: string): string {
  const path = pattern('path', text)
  if (!/^\/[\x21-\x7e]*$/.test(path) || /[?#%\\*]/.test(path) || normalisedPath(path) !== path)
    throw new ShadowError(
      'bad-input',
      `"${path}" is not a plain path: it begins with /, and has no query, no %, no * and no dot segments`,
    )
  return path
}

function pathPattern(text: string): string {
  const path = pattern('path', text)
  if (!/^[/*]/.test(path)) throw new ShadowError('bad-input', `the path "${path}" begins with neither / nor *`)
  if (/[?#%\\]/.test(path))
    throw new ShadowError(
      'bad-input',
      `the path "${path}" has one of ? # % \\: it is compared with the decoded path, without the query`,
    )
  return path
}

function pattern(field: string, text: string): string {
  if (text === '' || text.length > LONGEST_PATTERN || /\p{Cc}/u.test(text))
    throw new ShadowError('bad-input', `${field} takes 1 to ${LONGEST_PATTERN} characters, without control characters`)
  return text
}

function methodOf(text: string): string {
  if (!/^[A-Za-z-]{1,20}$/.test(text)) throw new ShadowError('bad-input', `"${text.slice(0, 50)}" is no method of HTTP`)
  return text.toUpperCase()
}

/** The rule as people write it. */
export const sayRule = (rule: IgnoreRule): string =>
  FIELDS.flatMap(field => (rule[field] === undefined ? [] : [`${field}:${rule[field]}`])).join(' ')

/** What a rule is compared with. Each is asked for only if a rule needs it. */
export type Ignorable = {
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly agent: () => string
  readonly isIn: (network: Network) => boolean
}

/** Compiles the rules: the first rule that matches a request, in words; undefined if none does. */
export function compileRules(rules: readonly IgnoreRule[]): (request: Ignorable) => string | undefined {
  const compiled = rules.map(rule => {
    const { method, network: clients } = rule
    const path = rule.path === undefined ? undefined : glob(rule.path)
    const agent = rule.agent === undefined ? undefined : glob(`*${rule.agent.toLowerCase()}*`)
    const matches = (request: Ignorable, pathOf: () => string, agentOf: () => string): boolean =>
      (method === undefined || method === request.method) &&
      (path === undefined || path(pathOf())) &&
      (agent === undefined || agent(agentOf())) &&
      (clients === undefined || request.isIn(clients))
    return { says: sayRule(rule), matches }
  })
  return request => {
    const path = once(() => normalisedPath(request.target))
    const agent = once(() => request.agent().toLowerCase())
    return compiled.find(({ matches }) => matches(request, path, agent))?.says
  }
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}
