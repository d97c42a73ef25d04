import assert from 'node:assert/strict'
import { test } from 'vitest'
import { isFailure, ShadowError } from './errors.ts'
import { newSealKey, Seals, sealKeys } from './seals.ts'

const [oldKey, newKey] = [sealKeys(newSealKey()), sealKeys(newSealKey())]
const before = new Seals(oldKey)
const rotated = new Seals([...newKey, ...oldKey])
const unreadable = (open: () => unknown, how: RegExp) =>
  assert.throws(open, error => isFailure(error, 'secret-unreadable') && how.test(error.message))

test('what is sealed opens in its own context alone, is never twice the same, and shows nothing of the text', () => {
  const text = 'PASSWORD=open sesame ü'
  const [one, two] = [before.seal(text, 'app blog'), before.seal(text, 'app blog')]
  assert.equal(before.open(one, 'app blog'), text)
  assert.notEqual(one, two)
  assert.ok(!one.includes('sesame') && !Buffer.from(one.split('.')[2] ?? '', 'base64url').includes('sesame'))
  unreadable(() => before.open(one, 'app shop'), /app shop cannot be decrypted: it was changed, or belongs elsewhere/)
})

test('a new key is used from then on, and the old one still opens and verifies', () => {
  const [sealed, signed] = [before.seal('x', 'c'), before.sign('x')]
  assert.equal(rotated.open(sealed, 'c'), 'x')
  assert.deepEqual([rotated.isCurrent(sealed), before.isCurrent(sealed)], [false, true])
  assert.ok(rotated.isCurrent(rotated.seal('x', 'c')))
  assert.ok(rotated.verify('x', signed))
  unreadable(
    () => before.open(rotated.seal('x', 'c'), 'c'),
    new RegExp(`the key ${rotated.id}, which is not known here`),
  )
  assert.equal(before.verify('x', rotated.sign('x')), false)
})

test('what was changed in one bit does not open, nor is another text taken for the one that was signed', () => {
  const sealed = before.seal('x'.repeat(40), 'c')
  const [version, id, data = ''] = sealed.split('.')
  const bytes = Buffer.from(data, 'base64url')
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes)
    changed[at] = (changed[at] ?? 0) ^ 1
    unreadable(() => before.open(`${version}.${id}.${changed.toString('base64url')}`, 'c'), /changed/)
  }
  for (const junk of ['', 'v1', `v1.${id}.`, 'v2.0000000000000000.AAAA', `v1.${id}.AAAA`])
    unreadable(() => before.open(junk, 'c'), /form/)
  for (const junk of ['', '.', before.id, `${before.id}.`, before.sign('y')])
    assert.equal(before.verify('x', junk), false)
})

test('a digest tells equal values, and needs the key', () => {
  assert.equal(before.digest('secret', 'A'), before.digest('secret', 'A'))
  assert.notEqual(before.digest('secret', 'A'), before.digest('secret', 'B'))
  assert.notEqual(before.digest('secret', 'A'), rotated.digest('secret', 'A'))
})

test('keys are read with commas or on lines; what is none is told without repeating it', () => {
  const [a, b] = [newSealKey(), newSealKey()]
  assert.equal(sealKeys(`${a},${b}`).length, 2)
  assert.equal(sealKeys(`${a}\n${b}\n`).length, 2)
  for (const wrong of ['hunter2', `${a},hunter2`, a.slice(4), `${a}${a}`])
    assert.throws(
      () => sealKeys(wrong),
      error => error instanceof ShadowError && /not 32 bytes/.test(error.message) && !error.message.includes('hunter2'),
    )
})
