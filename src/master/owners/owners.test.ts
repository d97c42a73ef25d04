import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, test } from 'vitest'
import type { MasterClient } from '../../api/client.ts'
import { masterCalls } from '../../api/master-calls.ts'
import { ownerRules } from '../../api/owner-rules.ts'
import { masterPaths } from '../../api/paths.ts'
import { isFailure, type Problem } from '../../lib/errors.ts'
import { NOTHING_USED } from '../../model/usage.ts'
import { type TestMaster, testMaster } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'

type Name = keyof typeof masterPaths

let on: TestMaster
let ann: MasterClient
let token: string
let bobs: string
let annsKey: string
beforeAll(async () => {
  on = await testMaster(memoryStorage())
  const made = await on.admin.call('createToken', { body: { name: 'ann', role: 'owner', apps: ['ann-*', 'shared'] } })
  ;({ token } = made)
  annsKey = made.id
  ann = on.client(token)
  bobs = (await on.admin.call('createToken', { body: { name: 'bob', role: 'owner', apps: ['bob-*'] } })).id
  for (const name of ['a-first', 'ann-blog', 'bob-blog', 'shared', 'zoe'])
    await on.admin.call('registerApp', { body: { name, image: 'x', volume: { size: '16MiB' } } })
  for (const [name, apps] of Object.entries({
    'key-of-ann': ['ann-blog'],
    'key-of-bob': ['bob-blog'],
    'key-of-both': ['ann-blog', 'bob-blog'],
  }))
    await on.admin.call('addSshKey', { body: { name, publicKey: publicKey(name), apps } })
  await on.admin.call('addSshKey', { body: { name: 'key-of-all', publicKey: publicKey('key-of-all') } })
  for (const name of ['ann-blog', 'bob-blog', 'bob-blog/worker', 'zoe']) await push(name)
  await on.admin.call('reportUsage', {
    params: { node: 'n1' },
    body: {
      counter: '7d444840-9dc0-11d1-b245-5ffdce74fad2',
      apps: ['ann-blog', 'bob-blog'].map(app => ({ day: '2027-01-15', app, used: { ...NOTHING_USED, requests: 3 } })),
    },
  })
}, 60_000)
afterAll(async () => {
  await on[Symbol.asyncDispose]()
})

/** Pushes an image of nothing. */
async function push(repository: string): Promise<void> {
  const headers = { authorization: `Bearer ${await on.master.token('admin')}` }
  const config = `{"of":"${repository}"}`
  const digest = `sha256:${createHash('sha256').update(config).digest('hex')}`
  const at = `${on.master.url}/v2/${repository}`
  const put = await fetch(`${at}/blobs/uploads/?digest=${digest}`, { method: 'POST', headers, body: config })
  assert.equal(put.status, 201)
  const type = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = {
    ...{ schemaVersion: 2, mediaType: type, layers: [] },
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: config.length },
  }
  const tagged = await fetch(`${at}/manifests/1`, {
    method: 'PUT',
    headers: { ...headers, 'content-type': type },
    body: JSON.stringify(manifest),
  })
  assert.equal(tagged.status, 201, await tagged.text())
}

/** A key of Ed25519 that is made of a text. */
function publicKey(text: string): string {
  const field = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes])
  const bytes = Buffer.concat([field(Buffer.from('ssh-ed25519')), field(Buffer.alloc(32, text))])
  return `ssh-ed25519 ${bytes.toString('base64')}`
}

const forbidden = (action: Promise<unknown>, how = /./) =>
  assert.rejects(action, error => isFailure(error, 'forbidden') && how.test(error.message))

/** What each parameter of a path is, if it is somebody else's. */
const OTHERS: Readonly<Record<string, string>> = {
  app: 'bob-blog',
  session: 'bob-blog--aaaaaaaaaaaaaaaa',
  volume: 'bob-blog',
  node: 'n1',
  hostname: 'bob-blog.localhost',
  revision: '1',
  digest: 'a'.repeat(64),
  part: `sha256:${'a'.repeat(64)}`,
  schedule: 'x',
  snapshot: 'x',
  backup: 'x',
  webhook: 'x',
  challenge: 'x'.repeat(16),
  role: 'node',
  kind: 'app',
  name: 'x',
  fleet: 'main',
  front: 'f1',
  type: 'data',
  token: '0'.repeat(64),
  key: 'key-of-bob',
}

/** The calls that are not refused from the outset; what they do and show is tested one by one below. */
const OPEN = [
  ...['health', 'manifestSchema', 'getCluster', 'joinCluster'],
  ...['connectSession', 'listSessions'],
  ...['registerApp', 'listApps', 'listInstances', 'listStats', 'listVolumes', 'putBlob', 'headBlob', 'listImages'],
  ...[
    'removeImage',
    'createToken',
    'listTokens',
    'removeToken',
    'addSshKey',
    'listSshKeys',
    'removeSshKey',
    'getUsage',
    'listBudgets',
    'getActivity',
  ],
  // The overview shows an owner its own apps: src/master/overview. Sign-in is about no app.
  ...['getOverview', 'followOverview', 'getSignIn', 'startDashboardSession', 'getDashboardSession'],
  ...['endDashboardSession', 'createDashboardLink', 'startOidc', 'finishOidc'],
]

test('every call of the API has a rule for owners', () => {
  assert.deepEqual(Object.keys(ownerRules).toSorted(), Object.keys(masterPaths).toSorted())
  assert.deepEqual(Object.keys(ownerRules).toSorted(), Object.keys(masterCalls).toSorted())
})

for (const [name, line] of Object.entries(masterPaths) as [Name, string][]) {
  if (OPEN.includes(name)) continue
  test(`${name} of what is not its own is refused to an owner, before anything else is looked at`, async () => {
    const [method = '', pattern = ''] = line.split(' ')
    const filled = pattern.replace(/:(\w+)/g, (_, parameter: string) => {
      const other = OTHERS[parameter]
      assert.ok(other !== undefined, `the test does not know :${parameter}`)
      return encodeURIComponent(other)
    })
    const { status, body } = await on.http(method, filled, { token })
    assert.equal(status, 403, `${method} ${filled}`)
    if (method !== 'HEAD') assert.match((body as Problem).detail ?? '', /for the apps ann-\*, shared/)
  })
}

describe('an owner', () => {
  test('has its own apps, as an admin has', async () => {
    await ann.call('registerApp', { body: { name: 'ann-new', image: 'x' } })
    await ann.call('updateApp', { params: { app: 'ann-new' }, body: { env: { A: 'b' } } })
    await ann.call('setAccess', { params: { app: 'shared' }, body: { allow: [], deny: [] } })
    assert.equal((await ann.call('getApp', { params: { app: 'shared' } })).name, 'shared')
    assert.equal((await ann.call('listReleases', { params: { app: 'ann-new' } })).items.length, 2)
    await ann.call('removeApp', { params: { app: 'ann-new' } })
  })

  test('is told the same of an app of others and of one that is not there', async () => {
    const told = async (app: string) => (await on.http('GET', `/v1/apps/${app}`, { token })).body as Problem
    const [one, other] = [await told('bob-blog'), await told('bob-none')]
    assert.equal(one.detail?.replace('bob-blog', 'bob-none'), other.detail)
  })

  const NAMES_OTHERS: readonly [what: string, () => Promise<unknown>][] = [
    ['see when apps were awake', () => ann.call('getActivity', { query: { apps: 'ann-blog,bob-blog' } })],
    ['register an app', () => ann.call('registerApp', { body: { name: 'bob-new', image: 'x' } })],
    ['fork its app into one', () => ann.call('forkApp', { params: { app: 'ann-blog' }, body: { name: 'bob-new' } })],
    [
      'fork its volume into one',
      () => ann.call('forkVolume', { params: { volume: 'ann-blog' }, body: { name: 'bob-new' } }),
    ],
    [
      'restore its backup into one',
      () => ann.call('restoreApp', { params: { app: 'ann-blog' }, body: { to: 'bob-blog' } }),
    ],
    ['remove an image', () => ann.call('removeImage', { query: { image: 'bob-blog:1' } })],
    [
      'remove an image by its whole name',
      () => ann.call('removeImage', { query: { image: `master.shadow/bob-blog/worker@sha256:${'a'.repeat(64)}` } }),
    ],
    [
      'use an app',
      () => ann.call('updateApp', { params: { app: 'ann-blog' }, body: { uses: ['ann-db', 'bob-blog'] } }),
    ],
    [
      'register an app that uses one',
      () => ann.call('registerApp', { body: { name: 'ann-new', image: 'x', uses: ['bob-blog'] } }),
    ],
    ['read usage', () => ann.call('getUsage', { query: { app: 'bob-blog' } })],
    [
      'register a key',
      () =>
        ann.call('addSshKey', { body: { name: 'new', publicKey: publicKey('new'), apps: ['ann-blog', 'bob-blog'] } }),
    ],
    ['register a key for all', () => ann.call('addSshKey', { body: { name: 'new', publicKey: publicKey('new') } })],
    [
      'make a token for more',
      () => ann.call('createToken', { body: { name: 'ann', role: 'owner', apps: ['ann-*', 'bob-*'] } }),
    ],
    [
      'make a token for a wider prefix',
      () => ann.call('createToken', { body: { name: 'ann', role: 'owner', apps: ['an*'] } }),
    ],
    [
      'make a token of another owner',
      () => ann.call('createToken', { body: { name: 'bob', role: 'owner', apps: ['ann-*'] } }),
    ],
    ['make a token of another role', () => ann.call('createToken', { body: { name: 'ann', role: 'admin' } })],
  ]
  for (const [what, call] of NAMES_OTHERS) test(`cannot ${what} of others`, () => forbidden(call()))

  const DEFINES_OTHERS: readonly [what: string, body: object][] = [
    ['runs the image of an app of others', { image: 'master.shadow/bob-blog:1' }],
    ['runs it by the name of this master', { image: 'HOST/bob-blog/worker:1' }],
    ['takes the hostname of an app of others', { domains: ['bob-blog.localhost'] }],
    ['takes a hostname below that of an app that may come', { domains: ['www.bob-new.localhost'] }],
    ['reaches private networks', { egress: ['10.0.0.5:5432'] }],
  ]
  for (const [what, changes] of DEFINES_OTHERS)
    test(`cannot have a definition that ${what}`, async () => {
      const host = new URL(on.master.url).host
      const body = JSON.parse(JSON.stringify(changes).replace('HOST', host))
      const create = { ...body, name: 'ann-new', image: body.image ?? 'x' }
      for (const [method, path, sent] of [
        ['POST', '/v1/apps', create],
        ['PATCH', '/v1/apps/ann-blog', body],
        ['PUT', '/v1/apps/ann-blog', { image: 'x', ...body }],
        ...('domains' in body ? [['POST', '/v1/apps/ann-blog/fork', { name: 'ann-new', ...body }]] : []),
      ] as [string, string, object][]) {
        const answer = await on.http(method, path, { token, body: sent })
        assert.equal(answer.status, 403, `${method} ${path}: ${JSON.stringify(answer.body)}`)
      }
    })

  test('keeps what an admin has let its app reach', async () => {
    const params = { app: 'shared' }
    await on.admin.call('updateApp', { params, body: { egress: ['10.0.0.5:5432'] } })
    await ann.call('updateApp', { params, body: { egress: ['10.0.0.5:5432'], env: { A: '1' } } })
    await forbidden(
      ann.call('updateApp', { params, body: { egress: ['10.0.0.5:5432', '10.0.0.6:5432'] } }),
      /10\.0\.0\.6/,
    )
  })

  test('may keep its app to some domains, or to nothing, which opens nothing', async () => {
    const params = { app: 'shared' }
    const before = ['10.0.0.5:5432']
    await on.admin.call('updateApp', { params, body: { egress: before } })
    await ann.call('updateApp', { params, body: { egress: [...before, 'api.example.com', '*.example.org:8443'] } })
    await ann.call('updateApp', { params, body: { egress: ['none'] } })
    await forbidden(ann.call('updateApp', { params, body: { egress: ['api.example.com', 'host'] } }), /host/)
    await on.admin.call('updateApp', { params, body: { egress: before } })
  })

  test('cannot let an app reach what an admin has let another one reach that it uses', async () => {
    await on.admin.call('updateApp', { params: { app: 'shared' }, body: { egress: ['10.0.0.5:5432'] } })
    const body = { egress: ['10.0.0.5:5432'], uses: ['shared'] }
    await forbidden(ann.call('updateApp', { params: { app: 'ann-blog' }, body }), /may not let ann-blog reach/)
    await forbidden(ann.call('registerApp', { body: { name: 'ann-new', image: 'x', ...body } }), /ann-new/)
  })

  const LISTS: readonly [Name, () => Promise<unknown>, RegExp][] = [
    ['listApps', () => ann.call('listApps', {}), /ann-blog/],
    ['listVolumes', () => ann.call('listVolumes', {}), /ann-blog/],
    ['listInstances', () => ann.call('listInstances', {}), /silent/],
    ['listImages', () => ann.call('listImages', {}), /ann-blog/],
    ['listSshKeys', () => ann.call('listSshKeys', {}), /key-of-ann/],
    ['listTokens', () => ann.call('listTokens', {}), /"name":"ann"/],
    ['getUsage', () => ann.call('getUsage', { query: { month: '2027-01' } }), /ann-blog/],
    ['getOverview', () => ann.call('getOverview', {}), /ann-blog/],
  ]
  for (const [name, call, shows] of LISTS)
    test(`is shown nothing of others by ${name}`, async () => {
      const text = JSON.stringify(await call())
      assert.doesNotMatch(text, /bob|zoe|a-first|key-of-all|key-of-both|"role":"admin"/)
      assert.match(text, shows)
    })

  for (const name of ['listInstances', 'listStats'] as const)
    test(`is shown its own instances alone by ${name}`, () => {
      const rule = ownerRules[name]
      assert.ok(typeof rule === 'object' && rule.shows !== undefined)
      const items = ['ann-blog', 'ann-blog.2', 'bob-blog', 'bob-ann-.1', 'zoe.ann-x'].map(instance => ({ instance }))
      const shown = rule.shows({ items, silent: [] } as never, ['ann-*'] as never)
      assert.deepEqual(
        shown.items.map(({ instance }) => String(instance)),
        ['ann-blog', 'ann-blog.2'],
      )
    })

  test('reads its own page by page, and no page names what is between', async () => {
    const found: string[] = []
    let after: string | undefined
    do {
      const { items, next } = await ann.call('listApps', { query: { limit: 1, ...(after !== undefined && { after }) } })
      found.push(...items.map(({ name }) => name))
      assert.ok(next === null || found.includes(next), `${next}`)
      after = next ?? undefined
    } while (after !== undefined)
    assert.deepEqual(found, ['ann-blog', 'shared'])
  })

  test('makes and revokes tokens of its own, and finds no others', async () => {
    const { id } = await ann.call('createToken', {
      body: { name: 'ann', role: 'owner', apps: ['ann-shop-*', 'shared'] },
    })
    const { items } = await ann.call('listTokens', {})
    assert.deepEqual(items.map(one => one.id).toSorted(), [annsKey, id].toSorted())
    await ann.call('removeToken', { params: { token: id } })
    const notFound = (error: unknown): boolean => isFailure(error, 'not-found')
    await assert.rejects(ann.call('removeToken', { params: { token: bobs } }), notFound)
    assert.ok((await on.admin.call('listTokens', {})).items.some(one => one.id === bobs))
  })

  test('registers and removes keys of its own, and finds no others', async () => {
    await ann.call('addSshKey', { body: { name: 'laptop', publicKey: publicKey('laptop'), apps: ['ann-blog'] } })
    await ann.call('removeSshKey', { params: { key: 'laptop' } })
    for (const key of ['key-of-bob', 'key-of-both', 'key-of-all'])
      await assert.rejects(ann.call('removeSshKey', { params: { key } }), error => isFailure(error, 'not-found'))
    assert.equal((await on.admin.call('listSshKeys', {})).items.length, 4)
  })

  test('pushes images of its own apps alone', async () => {
    const start = (repository: string, query = '') =>
      on.http('POST', `/v2/${repository}/blobs/uploads/${query}`, { token })
    assert.equal((await start('ann-blog')).status, 202)
    assert.equal((await start('ann-blog/worker')).status, 202)
    const refused = await start('bob-blog')
    assert.deepEqual([refused.status, JSON.stringify(refused.body).includes('DENIED')], [403, true])
    for (const [method, path] of [
      ['GET', 'manifests/1'],
      ['GET', 'tags/list'],
      ['GET', `blobs/sha256:${'a'.repeat(64)}`],
      ['DELETE', 'manifests/1'],
    ] as const)
      assert.equal((await on.http(method, `/v2/bob-blog/${path}`, { token })).status, 403)
  })

  test('has nothing any more once its token is revoked', async () => {
    const { id, token } = await on.admin.call('createToken', { body: { name: 'eve', role: 'owner', apps: ['eve-*'] } })
    await on.client(token).call('listApps', {})
    await on.admin.call('removeToken', { params: { token: id } })
    await assert.rejects(on.client(token).call('listApps', {}), error => isFailure(error, 'unauthorised'))
  })
})

test('a layer of others is not mounted for an owner, who has to send it', async () => {
  const layer = 'a layer'
  const digest = `sha256:${createHash('sha256').update(layer).digest('hex')}`
  const put = await fetch(`${on.master.url}/v2/bob-blog/blobs/uploads/?digest=${digest}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await on.master.token('admin')}` },
    body: layer,
  })
  assert.equal(put.status, 201)
  for (const query of [`?mount=${digest}&from=bob-blog`, `?mount=${digest}`]) {
    const { status } = await on.http('POST', `/v2/ann-blog/blobs/uploads/${query}`, { token })
    assert.equal(status, 202, query)
  }
})
