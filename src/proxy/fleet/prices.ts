import { ShadowError } from '../../lib/errors.ts'
import type { Price } from '../../model/fleet.ts'

/** What is bought: a type of machine, in a subnet, by the price of the spot market or on demand. */
export type OfferParts = {
  readonly type: string | undefined
  readonly subnet: string | undefined
  readonly isSpot: boolean
}

/** The offer as one word: `m7g.large/spot@subnet-0abc`; `template` where the launch template has the type. */
export const offerKey = ({ type, subnet, isSpot }: OfferParts): string =>
  `${type ?? TEMPLATE}${isSpot ? '/spot' : ''}${subnet === undefined ? '' : `@${subnet}`}`

export function parseOffer(key: string): OfferParts {
  const [what = '', subnet] = key.split('@', 2)
  const [type, spot] = what.split('/', 2)
  return { type: type === TEMPLATE ? undefined : type, subnet, isSpot: spot === 'spot' }
}

const TEMPLATE = 'template'

/**
 * US dollars an hour on demand, Linux, in the region us-east-1, as AWS listed them in the middle of 2025. Other regions cost up to about half
 * as much again. For what this is off, SHADOW_EC2_PRICES has the right price.
 */
const LISTED: ReadonlyMap<string, number> = new Map([
  ['t3.small', 0.0208],
  ['t3.medium', 0.0416],
  ['t3.large', 0.0832],
  ['t3.xlarge', 0.1664],
  ['t4g.small', 0.0168],
  ['t4g.medium', 0.0336],
  ['t4g.large', 0.0672],
  ['t4g.xlarge', 0.1344],
  ['m7g.medium', 0.0408],
  ['m7g.large', 0.0816],
  ['m7g.xlarge', 0.1632],
  ['m7g.2xlarge', 0.3264],
  ['m7i.large', 0.1008],
  ['m7i.xlarge', 0.2016],
  ['m7i.2xlarge', 0.4032],
  ['c7g.large', 0.0725],
  ['c7g.xlarge', 0.145],
  ['r7g.large', 0.1071],
  ['r7g.xlarge', 0.2142],
])
const LISTED_SOURCE = 'a built-in table: us-east-1, on demand, mid-2025'
const GIVEN_SOURCE = 'SHADOW_EC2_PRICES'

/** A GiB of gp3 for a month, in the same list; a month has 730 hours there. */
const DISK_GIB_MONTH = 0.08
const MONTH_HOURS = 730
/** As large as the disk of a Debian image, if the template names no other. */
const DISK_GIB = 8

/** Prices by type, and by `type/spot`; US dollars an hour. */
export type GivenPrices = ReadonlyMap<string, number>
export type Prices = ReturnType<typeof ec2Prices>

/**
 * The prices of machines of EC2: those that were given, else the built-in ones. The price of the spot market changes all the time, so it is
 * known only if it was given.
 */
export function ec2Prices(given: GivenPrices = new Map()) {
  return {
    of({ type, isSpot }: OfferParts, isStopped: boolean): Price | undefined {
      if (isStopped) return { usdPerHour: (DISK_GIB * DISK_GIB_MONTH) / MONTH_HOURS, source: LISTED_SOURCE }
      if (type === undefined) return undefined
      const its = given.get(isSpot ? `${type}/spot` : type)
      if (its !== undefined) return { usdPerHour: its, source: GIVEN_SOURCE }
      const listed = isSpot ? undefined : LISTED.get(type)
      return listed === undefined ? undefined : { usdPerHour: listed, source: LISTED_SOURCE }
    },
    source: [...(given.size > 0 ? [GIVEN_SOURCE] : []), LISTED_SOURCE].join(', then '),
  }
}

/** Parser: prices by commas, `m7g.large=0.0816,m7g.large/spot=0.03`. */
export function givenPrices(text: string): GivenPrices {
  const prices = new Map<string, number>()
  for (const one of text.split(',')) {
    const [, what, usd] = /^([a-z0-9-]+\.[a-z0-9-]+(?:\/spot)?)=(\d+(?:\.\d+)?)$/.exec(one.trim()) ?? []
    if (what === undefined)
      throw new ShadowError(
        'bad-input',
        `"${one.trim()}" is not a price in US dollars an hour such as m7g.large=0.0816`,
      )
    prices.set(what, Number(usd))
  }
  return prices
}
