import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { Resolver } from 'node:dns/promises'
import { describe, test } from 'vitest'
import { masterClient } from '../../src/api/client.ts'
import { systemCode } from '../../src/lib/errors.ts'
import { type Log, noLog } from '../../src/lib/log.ts'
import { readSettings } from '../../src/lib/settings.ts'
import { masterSettings } from '../../src/master/config.ts'
import { startMaster } from '../../src/master/main.ts'
import { proxySettings } from '../../src/proxy/config.ts'
import { startProxy } from '../../src/proxy/main.ts'
import { LeapingClock } from '../../src/testing/clock.ts'
import { temporaryFolder } from '../../src/testing/folders.ts'
import { freePort } from '../../src/testing/free-port.ts'
import { TEST_SECRETS_KEY } from '../../src/testing/masters.ts'
import { BINDING, hasPebble, pebble } from '../../src/testing/pebble.ts'

const ZONE = 'apps.test'
const ordered = [`*.${ZONE}`, ZONE]

if (!hasPebble && process.env['CI'] !== undefined)
  throw new Error('CI tests orders by DNS, and pebble is not here: contrib/dev/setup --servers')

describe.skipIf(!hasPebble)('certificates by the name servers of the fronts', () => {
  test('one master orders, a front that knows another master answers the authority, and no TXT record is left', async () => {
    await using started = new AsyncDisposableStack()
    const folder = temporaryFolder('shadow-dns-acme-')
    const port = await freePort()
    const authority = started.use(await pebble({ httpPort: await freePort(), nameServer: `127.0.0.1:${port}` }))
    const clock = new LeapingClock()
    const certificates = new Map(ordered.map(name => [name, Promise.withResolvers<void>()]))
    const log: Log = {
      ...noLog,
      info: (event, { certificate } = {}) => {
        if (event === 'certificate ordered') certificates.get(String(certificate))?.resolve()
      },
      warn: (event, { certificate, problem } = {}) => {
        if (event === 'certificate not ordered')
          certificates.get(String(certificate))?.reject(new Error(String(problem)))
      },
    }
    const shared = {
      SHADOW_MASTER_LISTEN: '127.0.0.1:0',
      SHADOW_STORAGE: `directory:${folder}/store`,
      SHADOW_SECRETS_KEY: TEST_SECRETS_KEY,
      SHADOW_APPS_DOMAIN: ZONE,
    }
    const other = started.use(
      await startMaster(readSettings(masterSettings, { ...shared, SHADOW_DATA: `${folder}/other` }), {
        ...{ clock, log: noLog },
      }),
    )
    const settings = {
      ...shared,
      SHADOW_DATA: `${folder}/master`,
      SHADOW_ACME_DIRECTORY: authority.directory,
      SHADOW_ACME_CA: authority.caFile,
      SHADOW_ACME_EAB: `${BINDING.kid}:${BINDING.key}`,
      SHADOW_ACME_DNS_NAMES: ordered.join(),
    }
    const master = started.use(await startMaster(readSettings(masterSettings, settings), { clock, log }))
    // The master that orders waits for the front, which is started after it.
    const front = started.use(
      await startProxy(
        readSettings(proxySettings, {
          SHADOW_MASTER: other.url,
          SHADOW_TOKEN: await other.token('proxy'),
          SHADOW_DATA: `${folder}/front`,
          SHADOW_LISTEN: '127.0.0.1:0',
          SHADOW_PUBLIC_ADDRESSES: '203.0.113.1',
          SHADOW_DNS_LISTEN: `127.0.0.1:${port}`,
        }),
        { clock, log: noLog },
      ),
    )
    assert.equal(front.dns?.port, port)
    await Promise.all([...certificates.values()].map(({ promise }) => promise))
    const client = masterClient({ url: master.url, token: await master.token('proxy'), withinMs: 30_000 })
    const answer = await client.call('wantCertificate', { params: { hostname: `shop.${ZONE}` }, body: {} })
    const leaf = new X509Certificate(answer.certificate?.chain ?? assert.fail(answer.state))
    assert.equal(leaf.subjectAltName, `DNS:*.${ZONE}`)
    const resolver = new Resolver({ timeout: 5_000, tries: 1 })
    resolver.setServers([`127.0.0.1:${port}`])
    await assert.rejects(resolver.resolveTxt(`_acme-challenge.${ZONE}`), error => systemCode(error) === 'ENODATA')
  })
})
