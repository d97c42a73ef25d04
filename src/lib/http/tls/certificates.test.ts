import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'vitest'
import { certificatesFolder, putCertbot, putPair, selfSigned, validBetween } from '../../../testing/certificates.ts'
import { HandClock } from '../../../testing/clock.ts'
import { until } from '../../../testing/wire.ts'
import { isFailure } from '../../errors.ts'
import { noLog } from '../../log.ts'
import { Certificates } from './certificates.ts'

async function opened(folder: string) {
  const clock = new HandClock(Date.now())
  const said: [string, Record<string, unknown> | undefined][] = []
  const told = (event: string, fields?: Record<string, unknown>): void => void said.push([event, fields])
  const log = { ...noLog, info: told, warn: told, error: told }
  const certificates = await Certificates.open({ folder, clock, log, lookEveryMs: 1_000 })
  let read = 0
  certificates.onRead(() => {
    read += 1
  })
  /** Waits until the files have been checked again. */
  const look = async (): Promise<void> => {
    const before = read
    await clock.advance(1_000)
    await until(() => read > before)
  }
  return { certificates, said, look, clock, [Symbol.dispose]: () => certificates[Symbol.dispose]() }
}

test('both layouts are read, wildcards by either spelling; a name is matched exactly, then by one label, then by default', async () => {
  const folder = certificatesFolder()
  putCertbot(folder, 'one.example')
  putPair(folder, 'Two.example', selfSigned('two.example'))
  putPair(folder, '_wildcard.three.example', selfSigned('*.three.example'))
  putCertbot(folder, '*.four.example', selfSigned('*.four.example'))
  using one = await opened(folder)
  const { certificates } = one
  const covers = (name: string) => certificates.find(name)?.covers(name)
  for (const name of ['one.example', 'ONE.example.', 'two.example', 'a.three.example', 'b.four.example'])
    assert.equal(covers(name.toLowerCase().replace(/\.$/, '')), true, name)
  assert(certificates.find('ONE.example.') !== undefined)
  for (const name of ['three.example', 'a.b.three.example', 'a.one.example', 'example', '', undefined])
    assert.equal(certificates.find(name), undefined, name)
  putPair(folder, 'default', selfSigned('fallback.example'))
  await one.look()
  assert.equal(certificates.find('whatever.example')?.covers('fallback.example'), true)
  assert.equal(certificates.find(undefined)?.covers('fallback.example'), true)
  assert.equal(certificates.find('one.example')?.covers('fallback.example'), false)
})

test('a certificate is used for all that it is for; the one that is filed under the name goes before', async () => {
  const folder = certificatesFolder()
  putCertbot(folder, 'example.com', selfSigned('example.com', '*.example.com', 'www.other.example'))
  putPair(folder, 'shop.example.com')
  using one = await opened(folder)
  const filed = one.certificates.find('example.com')
  for (const name of ['blog.example.com', 'www.other.example']) assert.equal(one.certificates.find(name), filed)
  const own = one.certificates.find('shop.example.com')
  assert(own !== undefined && own !== filed)
  assert.equal(one.certificates.find('a.blog.example.com'), undefined)
})

const DAY = 86_400_000

test('of several that would do a valid one wins, now and at the moment it runs out', async () => {
  const now = Date.now()
  const folder = certificatesFolder()
  // Filed under the name in both layouts: one is not valid before tomorrow, the other for two days only.
  putCertbot(folder, 'a.example', validBetween(now + DAY, now + 9 * DAY, 'a.example'))
  putPair(folder, 'a.example', validBetween(now - DAY, now + 2 * DAY, 'a.example'))
  // Valid for the name, but filed under other names.
  putPair(folder, 'expired', validBetween(now - 9 * DAY, now - DAY, 'a.example', 'b.example'))
  putPair(folder, 'elsewhere', validBetween(now - DAY, now + 4 * DAY, 'b.example'))
  putPair(folder, 'b.example', validBetween(now - 3 * DAY, now - 2 * DAY, 'b.example'))
  putPair(folder, 'c.wild.example', validBetween(now - 3 * DAY, now + DAY, 'c.wild.example'))
  putPair(folder, '_wildcard.wild.example', validBetween(now - DAY, now + 9 * DAY, '*.wild.example'))
  putPair(folder, 'default', validBetween(now - DAY, now + DAY, 'default.example'))
  putCertbot(folder, 'default', validBetween(now - DAY, now + 5 * DAY, 'default.example', 'd.example'))
  putPair(folder, 'd.example', validBetween(now - 3 * DAY, now - DAY, 'd.example'))
  using one = await opened(folder)
  /** For how many days from the start the found certificate is valid. */
  const days = (name: string | undefined): number =>
    Math.round(((one.certificates.find(name)?.expiresAt ?? 0) - now) / DAY)
  assert.deepEqual(['a.example', 'b.example', 'c.wild.example', 'd.example', undefined].map(days), [2, 4, 1, 5, 5])
  one.clock.setWall(DAY)
  assert.deepEqual(['a.example', 'c.wild.example'].map(days), [9, 9], 'at the moment that it runs out, or begins')
  one.clock.setWall(19 * DAY)
  assert.deepEqual(['a.example', 'b.example'].map(days), [9, -2], 'where none is, the one that is filed under the name')
})

test('what changes is read again, a broken file is told of and the one before kept, what goes is forgotten', async () => {
  const folder = certificatesFolder()
  putCertbot(folder, 'one.example')
  using one = await opened(folder)
  const { certificates, said, look } = one
  const first = certificates.find('one.example')
  await look()
  assert.equal(certificates.find('one.example'), first, 'what is the same is not read again')

  putCertbot(folder, 'one.example')
  await look()
  const second = certificates.find('one.example')
  assert(second !== undefined && second !== first)

  const other = selfSigned('one.example')
  writeFileSync(join(folder, 'one.example', 'privkey.pem'), other.key)
  await look()
  assert.equal(certificates.find('one.example'), second)
  const [event, fields] = said.at(-1) ?? []
  assert.deepEqual(
    [event, fields?.['hostname'], fields?.['kept'], fields?.['chain']],
    ['certificate broken', 'one.example', 'the one before', join(folder, 'one.example', 'fullchain.pem')],
  )
  const count = said.length
  await look()
  assert.equal(said.length, count, 'told once')

  writeFileSync(join(folder, 'one.example', 'fullchain.pem'), other.cert)
  await look()
  assert.notEqual(certificates.find('one.example'), second)

  rmSync(join(folder, 'one.example'), { recursive: true })
  await look()
  assert.equal(certificates.find('one.example'), undefined)
})

test('a broken certificate does not keep the others from being read; an expired one is told of', async () => {
  const folder = certificatesFolder()
  putCertbot(folder, 'good.example')
  putPair(folder, 'bad.example', { cert: 'no PEM', key: 'neither' })
  writeFileSync(join(folder, 'half.example.crt'), selfSigned('half.example').cert)
  using one = await opened(folder)
  assert(one.certificates.find('good.example') !== undefined)
  assert.equal(one.certificates.find('bad.example'), undefined)
  assert.equal(one.certificates.find('half.example'), undefined)
  assert(one.said.some(([event, fields]) => event === 'certificate broken' && fields?.['hostname'] === 'bad.example'))
  await one.clock.advance(3 * 86_400_000)
  putPair(folder, 'late.example')
  await until(() => {
    void one.clock.advance(1_000)
    return one.said.some(
      ([event, fields]) => event === 'certificate expired' && fields?.['hostname'] === 'late.example',
    )
  })
})

test('a folder that is not there fails, saying which', async () => {
  await assert.rejects(
    Certificates.open({ folder: '/nowhere/certificates', clock: new HandClock(), log: noLog }),
    error =>
      isFailure(error, 'bad-input') &&
      /folder of certificates \/nowhere\/certificates is not there/.test(error.message),
  )
})
