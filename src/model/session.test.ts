import assert from 'node:assert/strict'
import { test } from 'vitest'
import { hostname } from './hostname.ts'
import { portHost } from './session.ts'

const SLOT = 'abcdefghij234567'

test('the hostname of a port of a session names both, and its label is a DNS label', () => {
  assert.deepEqual(portHost(hostname(`3000-${SLOT}.editor.example.com`)), {
    port: 3000,
    session: `${SLOT}.editor.example.com`,
  })
  for (const port of [1, 80, 65_535]) assert.equal(portHost(hostname(`${port}-${SLOT}.a`))?.port, port)
  assert.equal(`65535-${SLOT}`.length, 22)
})

for (const label of ['0', '03000', '65536', '99999', '100000', '+1', '0x50', '1e3', ''])
  test(`${label || 'nothing'} before a slot is no port`, () =>
    assert.equal(portHost(`${label}-${SLOT}.editor.example.com` as never), undefined))

for (const host of [`${SLOT}.editor.example.com`, `3000-${SLOT}`, '3000-short.editor.example.com', '3000.example.com'])
  test(`${host} is of no port`, () => assert.equal(portHost(host as never), undefined))
