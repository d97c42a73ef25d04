import { assert, constantFrom, integer, property } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { duration, sayBytes, sayMs, size, toBytes, toMs } from './quantities.ts'

describe('a duration', () => {
  for (const [text, ms] of [
    ['0s', 0],
    ['250ms', 250],
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['1.5h', 5_400_000],
    ['2d', 172_800_000],
  ] as const)
    test(`${text} is ${ms} ms`, () => expect(toMs(duration(text))).toBe(ms))

  for (const text of ['', '5', '5 m', 'm', '-5m', '5x', '1h30', '5m ', '1e3s', '١s'])
    test(`"${text}" is none, and the error shows it`, () => {
      expect(() => duration(text)).toThrow(`"${text}" is not a duration`)
    })

  test('that we say is read back as what was said, to the unit that is shown', async () => {
    await assert(
      property(integer({ min: 0, max: 30 * 86_400_000 }), ms => {
        const read = toMs(duration(sayMs(ms)))
        return Math.abs(read - ms) <= (ms < 1_000 ? 0.5 : ms < 60_000 ? 50 : ms < 3_600_000 ? 1_000 : ms / 20)
      }),
    )
  })
})

describe('a size', () => {
  for (const [text, bytes] of [
    ['1B', 1],
    ['1.5GiB', 1_610_612_736],
    ['1GB', 1e9],
    ['512MiB', 536_870_912],
    ['64 kib', 65_536],
    ['1g', 2 ** 30],
    ['512m', 2 ** 29],
    ['64k', 65_536],
    ['1.5g', 1_610_612_736],
  ] as const)
    test(`${text} is ${bytes} bytes`, () => expect(toBytes(size(text))).toBe(bytes))

  for (const text of ['', '0B', '5', '5G', '-1GiB', '1GiBs', 'GiB', '1e3MB', '99999999999TiB'])
    test(`"${text}" is none, and the error shows it`, () => {
      expect(() => size(text)).toThrow(`"${text}" is not a size`)
    })

  test('that we say is read back within a tenth of its unit', async () => {
    await assert(
      property(integer({ min: 1, max: 2 ** 40 }), constantFrom(1, 1024), (count, unit) => {
        const bytes = count * unit
        return Math.abs(toBytes(size(sayBytes(bytes))) - bytes) <= bytes * 0.06
      }),
    )
  })
})
