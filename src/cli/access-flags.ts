import type { Command } from 'commander'
import { type Fault, ShadowError } from '../lib/errors.ts'
import { type Access, ANSWER_WITHIN, hsts, httpsMode, IN_FLIGHT, type Network, network, rate } from '../model/access.ts'
import { orNever } from '../model/quantities.ts'
import { collect, mustBeThere, parsedFlag } from './command-options.ts'
import { facts } from './print.ts'
import type { Terminal } from './terminal.ts'

/** Flags of `register` and `access` as commander gives them. */
export type AccessFlags = {
  readonly allow?: readonly string[]
  readonly deny?: readonly string[]
  readonly forget?: readonly string[]
  /** false: `--no-rate`. */
  readonly rate?: string | false
  readonly ratePerClient?: string | false
  readonly https?: string
  readonly hsts?: string
  readonly inFlight?: string
  readonly answerWithin?: string
}

/** The value of a flag that removes the app's own setting, so that the front's setting holds. */
const DEFAULT = 'default'

const OPEN: Access = { allow: [], deny: [] }

/** Adds the flags that say who may use an app, and how much. */
export function accessOptions(command: Command): Command {
  return command
    .option('--allow <network>', 'who may use it, and nobody else; may be repeated: 10.0.0.0/8', collect)
    .option('--deny <network>', 'who may not use it; wins over --allow; may be repeated: 203.0.113.7', collect)
    .option('--rate <rate>', 'most requests of all clients: 100/s, 600/m, "100/s burst 200"')
    .option('--rate-per-client <rate>', 'most requests of each IPv4 address, or /64 of IPv6: 5/s')
    .option(
      '--https <how>',
      'redirect sends visitors of plain HTTP on to HTTPS, both serves them; default: SHADOW_HTTPS',
    )
    .option('--hsts <time>', 'how long browsers must use HTTPS only: 365d, or off; default: SHADOW_HSTS')
    .option('--in-flight <requests>', `most requests at the app at a time; more wait; default: ${IN_FLIGHT}`)
    .option('--answer-within <time>', `most time for the first byte of an answer, or never; default: ${ANSWER_WITHIN}`)
}

/**
 * Applies the flags to the rules `before`. Fails with `bad-input`, which names every wrong flag, or with `not-found`, which names
 * every `--forget` of a network that is in neither list of `now`.
 */
export function withFlags(flags: AccessFlags, app: string, before: Access = OPEN, now: Access = before) {
  const faults: Fault[] = []
  const networks = (flag: string, given: readonly string[] = []): Network[] =>
    given.flatMap(text => parsedFlag(flag, network, text, faults) ?? [])
  const oneRate = (flag: string, given: string | false | undefined, had: Access['rate']): Access['rate'] =>
    given === undefined ? had : given === false ? undefined : parsedFlag(flag, rate, given, faults)

  const setting = <T>(flag: string, parse: (text: string) => T, given: string | undefined, had: T | undefined) =>
    given === undefined ? had : given === DEFAULT ? undefined : parsedFlag(flag, parse, given, faults)

  const forgotten = networks('--forget', flags.forget)
  const merged = (flag: string, had: readonly Network[], given: readonly string[] | undefined) => [
    ...new Set([...had.filter(one => !forgotten.includes(one)), ...networks(flag, given)]),
  ]
  const after = {
    allow: merged('--allow', before.allow, flags.allow),
    deny: merged('--deny', before.deny, flags.deny),
    rate: oneRate('--rate', flags.rate, before.rate),
    ratePerClient: oneRate('--rate-per-client', flags.ratePerClient, before.ratePerClient),
    https: setting('--https', httpsMode, flags.https, before.https),
    hsts: setting('--hsts', hsts, flags.hsts, before.hsts),
    inFlight: setting('--in-flight', requests, flags.inFlight, before.inFlight),
    answerWithin: setting('--answer-within', orNever, flags.answerWithin, before.answerWithin),
  }
  if (faults.length > 0) throw new ShadowError('bad-input', 'the flags are wrong', { faults })
  const absent = forgotten.filter(one => !now.allow.includes(one) && !now.deny.includes(one))
  mustBeThere(
    app,
    absent.map(one => ({ field: '--forget', message: `neither of its lists has ${one}` })),
  )
  return after
}

/** The rules as people read them. */
export function sayAccess(terminal: Terminal, access: Access | undefined): string {
  if (access === undefined) return 'everybody may use it, as much as they like\n'
  return facts(terminal, [
    ['allow', access.allow.join('\n') || 'everybody'],
    ['deny', access.deny.join('\n') || undefined],
    ['rate', access.rate],
    ['rate per client', access.ratePerClient],
    ['https', access.https],
    ['hsts', access.hsts],
    ['in flight', access.inFlight?.toString()],
    ['answer within', access.answerWithin],
  ])
}

function requests(text: string): number {
  const count = /^\d{1,7}$/.test(text) ? Number(text) : 0
  if (count < 1 || count > 1_000_000)
    throw new ShadowError('bad-input', `"${text.slice(0, 100)}" is not a number of requests from 1 to 1000000`)
  return count
}
