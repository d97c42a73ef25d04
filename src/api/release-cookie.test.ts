import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import type { Held } from '../model/instance.ts'
import type { Route } from '../model/route.ts'
import { cookieFor, readWanted, sayWanted, wantedBy } from './release-cookie.ts'

const route = (changes: Partial<Route>): Route => ({ name: 'blog', revision: 12, ...changes }) as Route
const sent = (cookie?: string) => ({ list: (name: string) => (name === 'cookie' ? cookie : undefined) })
const staying = route({ sessions: 'stay' })
const held = (release: number): Held => ({ release }) as Held

describe('the release that a visitor wants', () => {
  const cases = [
    [undefined, 'new'],
    ['a=b', 'new'],
    ['shadow_release=11', { revision: 11, isStrict: false }],
    ['a=b; shadow_release=11; c=d', { revision: 11, isStrict: false }],
    ['a=b;shadow_release=7', { revision: 7, isStrict: false }],
    ['not_shadow_release=11', 'new'],
    ['shadow_release=', 'new'],
    ['shadow_release=11x', 'new'],
    ['shadow_release=99999999999999999999', 'new'],
  ] as const
  for (const [cookie, wanted] of cases)
    test(`by ${cookie === undefined ? 'no cookie' : `"${cookie}"`}`, () =>
      assert.deepEqual(wantedBy(sent(cookie), staying), wanted))

  test('is the newest one where sessions do not stay, whatever the cookie says', () => {
    assert.equal(wantedBy(sent('shadow_release=11'), route({})), undefined)
  })

  test('is that of the hostname alone, and one that is still to come is unknown', () => {
    assert.deepEqual(wantedBy(sent(), route({ release: 9 })), { revision: 9, isStrict: true })
    assert.throws(() => wantedBy(sent(), route({ release: 13 })), { code: 'host-unknown' })
  })
})

test('a wish comes over the hop to a node as it was, and anything else is none', () => {
  for (const wanted of ['new', { revision: 11, isStrict: false }, { revision: 11, isStrict: true }] as const)
    assert.deepEqual(readWanted(sayWanted(wanted)), wanted)
  for (const said of ['', 'x', '=', '=x', '1.5', '-1', undefined]) assert.equal(readWanted(said), undefined)
})

describe('the cookie', () => {
  test('is set for a new session, and for one whose release has ended', () => {
    assert.equal(cookieFor('new', held(12), false), 'shadow_release=12; Path=/; HttpOnly; SameSite=Lax')
    assert.match(cookieFor({ revision: 11, isStrict: false }, held(12), true) ?? '', /=12; .*; Secure$/)
  })

  test('is not set again, nor for the address of one release, nor for other apps', () => {
    assert.equal(cookieFor({ revision: 12, isStrict: false }, held(12), false), undefined)
    assert.equal(cookieFor({ revision: 11, isStrict: true }, held(11), false), undefined)
    assert.equal(cookieFor(undefined, held(12), false), undefined)
  })
})
