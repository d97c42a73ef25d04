import { ShadowError } from '../../lib/errors.ts'

/** Ports that a front may open for apps. */
export type PortRanges = readonly { readonly first: number; readonly last: number }[]

/** Parses `10000-19999,5432`, or `none`. */
export function portRanges(text: string): PortRanges {
  if (text === 'none') return []
  return text.split(',').map(one => {
    const [, from = '', to = from] = /^ *(\d{1,5})(?:-(\d{1,5}))? *$/.exec(one) ?? []
    const range = { first: Number(from), last: Number(to) }
    if (from === '' || range.first < 1 || range.last > 65_535 || range.first > range.last)
      throw new ShadowError('bad-input', `"${one.trim()}" is neither a port nor a range such as 10000-19999`)
    return range
  })
}

export const isInRanges = (port: number, ranges: PortRanges): boolean =>
  ranges.some(({ first, last }) => port >= first && port <= last)
