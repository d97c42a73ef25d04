import { expect, test } from 'vitest'
import { rounded, sayCost, sayGiBHours, sayHours, sayShare } from './words.ts'

for (const [said, shown] of [
  [sayHours(0), '0 h'],
  [sayHours(0.2), '<1 s'],
  [sayHours(32.5), '32.5 s'],
  [sayHours(1_800), '30 min'],
  [sayHours(5_400), '1.5 h'],
  [sayHours(7_200_000), '2,000 h'],
  [sayGiBHours(0), '0 GiB h'],
  [sayGiBHours(0.00001), '<0.001 GiB h'],
  [sayCost(0), '0.00'],
  [sayCost(0.00123), '0.0012'],
  [sayCost(12.345), '12.35'],
  [sayShare(1, 4), '25 %'],
  [sayShare(1, 0), '–'],
  [sayShare(1, undefined), '–'],
  [rounded(0.012345), '0.0123'],
] as const)
  test(`people read ${shown}`, () => expect(said).toBe(shown))
