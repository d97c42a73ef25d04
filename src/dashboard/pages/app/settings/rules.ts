import type { Access } from '../../../../model/access.ts'
import type { App } from '../../../../model/app.ts'
import type { Scale } from '../../../../model/scale.ts'
import type { WakeRules } from '../../../../model/wake-rules.ts'
import { linesOf } from '../../../lines.ts'
import { shellWords } from '../../../shell-words.ts'

/** A number, or the text as it is: the master says what is wrong with it. */
const numberOf = (text: string): number | string =>
  text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text.trim()

const given = (fields: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(fields)
      .map(([name, text]) => [name, text.trim()])
      .filter(([, text]) => text !== ''),
  )

const flags = (flag: string, values: readonly string[]): string[] => values.flatMap(value => [flag, value])
const flagOf = (flag: string, value: string): string[] => (value.trim() === '' ? [] : [flag, value.trim()])

export type AccessTexts = Readonly<Record<keyof Access, string>>

export const accessTexts = ({ access }: App): AccessTexts => ({
  allow: access?.allow.join('\n') ?? '',
  deny: access?.deny.join('\n') ?? '',
  rate: access?.rate ?? '',
  ratePerClient: access?.ratePerClient ?? '',
  https: access?.https ?? '',
  hsts: access?.hsts ?? '',
  inFlight: access?.inFlight?.toString() ?? '',
  answerWithin: access?.answerWithin ?? '',
})

/** The body of `setAccess`, which replaces all rules. */
export function accessBody({ allow, deny, inFlight, ...rest }: AccessTexts): object {
  return {
    allow: linesOf(allow),
    deny: linesOf(deny),
    ...given(rest),
    ...(inFlight.trim() !== '' && { inFlight: numberOf(inFlight) }),
  }
}

export const accessCommand = (app: string, texts: AccessTexts): string =>
  shellWords(
    ...['shadow', 'access', app, '--clear'],
    ...flags('--allow', linesOf(texts.allow)),
    ...flags('--deny', linesOf(texts.deny)),
    ...flagOf('--rate', texts.rate),
    ...flagOf('--rate-per-client', texts.ratePerClient),
    ...flagOf('--https', texts.https),
    ...flagOf('--hsts', texts.hsts),
    ...flagOf('--in-flight', texts.inFlight),
    ...flagOf('--answer-within', texts.answerWithin),
  )

export type ScaleTexts = Readonly<Record<'min' | 'max' | 'concurrency' | 'cpu', string>>

export const scaleTexts = ({ scale }: App): ScaleTexts => ({
  min: String(scale?.min ?? 0),
  max: String(scale?.max ?? 1),
  concurrency: scale?.concurrency === undefined ? '' : `${scale.concurrency.soft}:${scale.concurrency.hard}`,
  cpu: scale?.cpu?.toString() ?? '',
})

/** The body of `setScale`, which replaces all rules. */
export function scaleBody({ min, max, concurrency, cpu }: ScaleTexts): Record<keyof Scale, unknown> | object {
  const [soft = '', hard = ''] = concurrency.split(':')
  return {
    ...(min.trim() !== '' && { min: numberOf(min) }),
    ...(max.trim() !== '' && { max: numberOf(max) }),
    ...(concurrency.trim() !== '' && { concurrency: { soft: numberOf(soft), hard: numberOf(hard) } }),
    ...(cpu.trim() !== '' && { cpu: numberOf(cpu) }),
  }
}

export const scaleCommand = (app: string, { min, max, concurrency, cpu }: ScaleTexts): string =>
  shellWords(
    ...['shadow', 'scale', app],
    ...['--min', min.trim() || 'default'],
    ...['--max', max.trim() || 'default'],
    ...['--concurrency', concurrency.trim() || 'default'],
    ...['--target-cpu', cpu.trim() || 'default'],
  )

export type WakeTexts = Readonly<Record<'ignore' | 'answers', string>>

type Rule = WakeRules['ignore'][number]
const FIELDS = ['path', 'agent', 'method', 'network'] as const

const sayRule = (rule: Rule): string =>
  FIELDS.flatMap(field => (rule[field] === undefined ? [] : [`${field}:${rule[field]}`])).join(' ')

export const wakeTexts = ({ wake }: App): WakeTexts => ({
  ignore: wake?.ignore.map(sayRule).join('\n') ?? '',
  answers: wake?.answers.join('\n') ?? '',
})

/** The body of `setWakeRules`, which replaces all rules. A value goes on up to the next field, since names of browsers have spaces. */
export const wakeBody = ({ ignore, answers }: WakeTexts): object => ({
  ignore: linesOf(ignore).map(line =>
    Object.fromEntries(
      line.split(/\s+(?=(?:path|agent|method|network):)/).map(part => {
        const [field = '', ...rest] = part.split(':')
        return [field, rest.join(':')]
      }),
    ),
  ),
  answers: linesOf(answers),
})

export const wakeCommand = (app: string, { ignore, answers }: WakeTexts): string =>
  shellWords(
    ...['shadow', 'wake-rules', app, '--clear'],
    ...flags('--ignore', linesOf(ignore)),
    ...flags('--answer', linesOf(answers)),
  )
