import { ShadowError } from '../lib/errors.ts'

/** The labels of a node: free words of the operator. `zone` is the zone that the node is in. */
export type Labels = Readonly<Record<string, string>>

const NAME = /^[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?$/
const VALUE = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/
const MOST = 32

/** What keeps these from being labels; undefined if nothing does. */
export function faultOfLabels(labels: Labels): string | undefined {
  const all = Object.entries(labels)
  if (all.length > MOST) return `there are ${all.length} labels; ${MOST} at most`
  for (const [name, value] of all) {
    if (!NAME.test(name))
      return `"${name.slice(0, 100)}" is not the name of a label: 1 to 63 of a-z, 0-9, ., _, / and -`
    if (!VALUE.test(value))
      return `"${value.slice(0, 100)}" is not a value for the label ${name}: 1 to 63 of A-Z, a-z, 0-9, ., _ and -`
  }
  return undefined
}

/** The label of a node that names its zone. */
export const ZONE = 'zone'

/** The labels with the zone that the machine is in, where it knows one; fails with `bad-input` where they name another zone. */
export function withZone(labels: Labels | undefined, zone: string | undefined): Labels | undefined {
  if (zone === undefined) return labels
  const named = labels?.[ZONE]
  if (named !== undefined && named !== zone)
    throw new ShadowError('bad-input', `SHADOW_NODE_LABELS says zone=${named}, and this machine is in zone ${zone}`, {
      hint: 'leave the label zone out',
    })
  return { ...labels, [ZONE]: zone }
}

/** Parser: labels by commas, `zone=eu-1,disk=ssd`; fails with `bad-input`. */
export function labels(text: string): Labels {
  const entries = new Map<string, string>()
  for (const one of text.split(',')) {
    const [name = '', value, ...more] = one.trim().split('=')
    if (value === undefined || more.length > 0)
      throw new ShadowError('bad-input', `"${one.trim()}" is not a label such as zone=eu-1`)
    if (entries.has(name)) throw new ShadowError('bad-input', `the label ${name} is given twice`)
    entries.set(name, value)
  }
  const found = Object.fromEntries(entries)
  const fault = faultOfLabels(found)
  if (fault !== undefined) throw new ShadowError('bad-input', fault)
  return found
}
