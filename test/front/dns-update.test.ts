import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { masterClient } from '../../src/api/client.ts'
import { type Log, noLog } from '../../src/lib/log.ts'
import { readSettings } from '../../src/lib/settings.ts'
import { dnsUpdates } from '../../src/master/acme/dns-update.ts'
import { masterSettings } from '../../src/master/config.ts'
import { startMaster } from '../../src/master/main.ts'
import { LeapingClock } from '../../src/testing/clock.ts'
import { temporaryFolder } from '../../src/testing/folders.ts'
import { freePort } from '../../src/testing/free-port.ts'
import { hasNamed, named } from '../../src/testing/named.ts'
import { BINDING, hasPebble, pebble } from '../../src/testing/pebble.ts'

const ZONE = 'example.test'
const RECORD = `_acme-challenge.apps.${ZONE}`

const missing = [...(hasNamed ? [] : ['named']), ...(hasPebble ? [] : ['pebble'])].join(' and ')
if (missing !== '' && process.env['CI'] !== undefined)
  throw new Error(`CI tests dynamic updates of DNS, and ${missing} is not here: contrib/dev/setup --servers`)
const skipped = missing === '' ? '' : ` (skipped: make test installs ${missing} from Debian)`

describe.skipIf(missing !== '')(`dynamic updates of BIND${skipped}`, () => {
  let bind: Awaited<ReturnType<typeof named>>
  beforeAll(async () => {
    bind = await named(ZONE)
  })
  afterAll(() => bind?.[Symbol.asyncDispose]())

  const records = ({
    name = 'shadow',
    secret = bind.secret,
    zone = undefined as string | undefined,
    aheadMs = 0,
  } = {}) => {
    const clock = new LeapingClock()
    clock.setWall(aheadMs)
    return dnsUpdates({ server: { host: '127.0.0.1', port: bind.port }, key: { name, secret }, zone, clock })
  }

  test('values of one name are set side by side, and one is cleared without the others', async () => {
    const { set, clear } = records()
    await Promise.all([set(RECORD, 'one'), set(RECORD, 'two')])
    await set(RECORD, 'two')
    assert.deepEqual(await bind.texts(RECORD), ['one', 'two'])
    await clear(RECORD, 'one')
    await clear(RECORD, 'one')
    assert.deepEqual(await bind.texts(RECORD), ['two'])
    await records({ zone: ZONE }).clear(RECORD, 'two')
    assert.deepEqual(await bind.texts(RECORD), [])
  })

  test('each way in which BIND refuses is told with its mend, and nothing is set', async () => {
    const refused = (given: Parameters<typeof records>[0], why: RegExp): Promise<void> =>
      assert.rejects(records(given).set(RECORD, 'no'), why)
    await refused({ secret: Buffer.from('another') }, /the key shadow is another one \(BADSIG\)/)
    await refused({ name: 'nobody' }, /has no key nobody for hmac-sha256 \(BADKEY\)/)
    await refused(
      { name: 'stranger', secret: bind.secretOfStranger },
      /refuses the key stranger for example\.test \(REFUSED\)/,
    )
    await refused({ aheadMs: 1_000_000 }, /its clock says 2.*\(BADTIME\): set both by NTP/)
    await refused({ zone: 'other.test' }, /not the primary server of the zone other\.test \(NOTAUTH\)/)
    await assert.rejects(records({ zone: ZONE }).set('_acme-challenge.other.test', 'no'), /\(NOTZONE\)/)
    await assert.rejects(
      records().set('_acme-challenge.other.test', 'no'),
      /no zone for _acme-challenge\.other\.test \(REFUSED\)/,
    )
    assert.deepEqual(await bind.texts(RECORD), [])
  })

  test('certificates for a wildcard and for its parent are ordered at a time, and no TXT record is left', async () => {
    await using started = new AsyncDisposableStack()
    const authority = started.use(await pebble({ httpPort: await freePort(), nameServer: `127.0.0.1:${bind.port}` }))
    const ordered = [`*.apps.${ZONE}`, `apps.${ZONE}`].map(name => ({ name, ...Promise.withResolvers<void>() }))
    const logged: string[] = []
    const note = (event: string, fields: Record<string, unknown> = {}): void => {
      logged.push(JSON.stringify([event, fields]))
      const order = ordered.find(({ name }) => name === fields['certificate'])
      if (event === 'certificate ordered') order?.resolve()
      if (event === 'certificate not ordered') order?.reject(new Error(String(fields['problem'])))
    }
    const log: Log = { ...noLog, debug: note, info: note, warn: note }
    const folder = temporaryFolder('shadow-dns-update-')
    const secret = bind.secret.toString('base64')
    writeFileSync(`${folder}/secret`, `${secret}\n`)
    const settings = {
      SHADOW_DATA: `${folder}/master`,
      SHADOW_MASTER_LISTEN: '127.0.0.1:0',
      SHADOW_ACME_DIRECTORY: authority.directory,
      SHADOW_ACME_CA: authority.caFile,
      SHADOW_ACME_EAB: `${BINDING.kid}:${BINDING.key}`,
      SHADOW_ACME_DNS_NAMES: ordered.map(({ name }) => name).join(),
      SHADOW_ACME_DNS_WAIT: '1ms',
      SHADOW_DNS_UPDATE: `rfc2136://127.0.0.1:${bind.port}`,
      SHADOW_DNS_UPDATE_KEY: 'shadow',
      SHADOW_DNS_UPDATE_SECRET_FILE: `${folder}/secret`,
    }
    const before = bind.log().length
    const master = started.use(
      await startMaster(readSettings(masterSettings, settings), { clock: new LeapingClock(), log }),
    )
    await Promise.all(ordered.map(({ promise }) => promise))
    const front = masterClient({ url: master.url, token: await master.token('proxy'), withinMs: 30_000 })
    const answer = await front.call('wantCertificate', { params: { hostname: `shop.apps.${ZONE}` }, body: {} })
    const leaf = new X509Certificate(answer.certificate?.chain ?? assert.fail(answer.state))
    assert.equal(leaf.subjectAltName, `DNS:*.apps.${ZONE}`)
    const changes = bind.log().slice(before)
    const count = (what: RegExp): number => changes.match(what)?.length ?? 0
    assert.deepEqual(
      [count(/adding an RR at '_acme-challenge\.apps.*TXT/g), count(/deleting an RR at _acme/g)],
      [2, 2],
      changes,
    )
    assert.deepEqual(await bind.texts(RECORD), [])
    assert(!logged.join().includes(secret) && logged.length > 2, 'the secret is not logged')
  })
})
