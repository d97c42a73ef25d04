import type { budgetCalls } from '../../../api/budget-calls.ts'
import type { CallInput } from '../../../api/call-shape.ts'
import { shellWords } from '../../shell-words.ts'

export const EMPTY = { kind: 'app', name: '', awakeHours: '', cpuHours: '', requests: '', egressGiB: '', cost: '' }
type Values = { readonly [K in keyof typeof EMPTY]: string }
type Limits = CallInput<(typeof budgetCalls)['setBudget']>['body']

const GIB = 2 ** 30

/** The limits that were typed. What is no number goes to the master as it is, which says so. */
export function limitsOf({ awakeHours, cpuHours, requests, egressGiB, cost }: Values): Limits {
  const number = (text: string, unit = 1): unknown =>
    text.trim() === '' ? undefined : Number.isNaN(Number(text)) ? text : Number(text) * unit
  const limits = {
    cost: number(cost),
    awakeHours: number(awakeHours),
    cpuHours: number(cpuHours),
    requests: number(requests),
    egressBytes: number(egressGiB, GIB),
  }
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined)) as Limits
}

/** The command of the CLI that sets the same budget. */
export function budgetCommand({ kind, name, awakeHours, cpuHours, requests, egressGiB, cost }: Values): string {
  const flag = (name: string, text: string, unit = ''): string[] =>
    text.trim() === '' ? [] : [name, `${text.trim()}${unit}`]
  return shellWords(
    ...['shadow', 'budget', 'set', ...(kind === 'owner' ? ['--owner'] : []), name.trim() || 'NAME'],
    ...flag('--cost', cost),
    ...flag('--awake', awakeHours, 'h'),
    ...flag('--cpu', cpuHours, 'h'),
    ...flag('--requests', requests),
    ...flag('--egress', egressGiB, 'GiB'),
  )
}
