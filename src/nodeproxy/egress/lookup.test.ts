import { expect, test } from 'vitest'
import { hostname } from '../../model/hostname.ts'
import { HandClock } from '../../testing/clock.ts'
import { Lookup } from './lookup.ts'

const NAME = hostname('api.example.com')
const failing = (code: string) => Object.assign(new Error(code), { code })

test('a name is asked for once for as long as its answer counts, a minute at most', async () => {
  const clock = new HandClock()
  const asked: string[] = []
  const records = [
    { address: '203.0.113.7', ttl: 3_600 },
    { address: '203.0.113.8', ttl: 3_600 },
  ]
  const lookup = new Lookup({
    clock,
    resolve: async name => {
      asked.push(name)
      return records
    },
  })
  const found = { addresses: ['203.0.113.7', '203.0.113.8'], ttlSeconds: 60 }
  expect(await Promise.all([lookup.find(NAME), lookup.find(NAME)])).toEqual([found, found])
  await clock.advance(59_000)
  await lookup.find(NAME)
  expect(asked).toEqual(['api.example.com.'])
  await clock.advance(1_000)
  await lookup.find(NAME)
  expect(asked).toHaveLength(2)
})

test('a name without an address is told apart from a name server that does not answer, which is asked again', async () => {
  const clock = new HandClock()
  let code = 'ENOTFOUND'
  let asked = 0
  const resolve = () => {
    asked += 1
    return Promise.reject(failing(code))
  }
  const lookup = new Lookup({ clock, resolve })
  expect(await lookup.find(NAME)).toEqual({ addresses: [], ttlSeconds: 5 })
  await clock.advance(5_000)
  code = 'ETIMEOUT'
  await expect(lookup.find(NAME)).rejects.toMatchObject({ code })
  await expect(lookup.find(NAME)).rejects.toMatchObject({ code })
  expect(asked).toBe(3)
})
