import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { portsLeft } from './bridge-ports.ts'

let net: string
beforeEach(async () => {
  net = await mkdtemp(join(tmpdir(), 'bridge-ports-'))
})
afterEach(() => rm(net, { recursive: true }))

test('a bridge has 1,023 ports, of which each link takes one', async () => {
  await mkdir(`${net}/br-1/brif`, { recursive: true })
  assert.equal(await portsLeft('br-1', net), 1_023)
  for (const link of ['veth1', 'veth2']) await mkdir(`${net}/br-1/brif/${link}`)
  assert.equal(await portsLeft('br-1', net), 1_021)
})

test('of a bridge that is not here nothing is known', async () => {
  assert.equal(await portsLeft('br-2', net), undefined)
})
