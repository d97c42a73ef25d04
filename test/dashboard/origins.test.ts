import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { describe, test } from 'vitest'
import { directory } from '../../src/master/storage/directory.ts'
import { HandClock } from '../../src/testing/clock.ts'
import { temporaryFolder } from '../../src/testing/folders.ts'
import { freePort } from '../../src/testing/free-port.ts'
import { TEST_SECRETS_KEY, testMaster } from '../../src/testing/masters.ts'
import { browser } from '../tools/browser.ts'
import { hasProgram } from '../tools/programs.ts'

// A browser sends Sec-Fetch-Site to the first address, which it trusts, and not to the second one, where Origin alone tells.
const PLACES = [
  { dashboard: '127.0.0.1', app: '127.0.0.1', setting: false },
  { dashboard: 'shadow.example.test', app: 'blog.example.test', setting: true },
]

/** A master whose dashboard is one empty page. */
async function master(port: number, url: string | undefined) {
  const folder = temporaryFolder('shadow-test-origins-')
  await mkdir(join(folder, 'pages/assets'), { recursive: true })
  await writeFile(join(folder, 'pages/index.html'), '<!doctype html><title>dashboard</title>')
  await writeFile(join(folder, 'pages/assets/own.js'), 'window.loaded = true')
  const settings = {
    SHADOW_SECRETS_KEY: TEST_SECRETS_KEY,
    SHADOW_MASTER_LISTEN: `127.0.0.1:${port}`,
    ...(url !== undefined && { SHADOW_DASHBOARD_URL: url }),
  }
  const storage = await directory({ path: join(folder, 'store') })
  const on = await testMaster(storage, new HandClock(Date.now()), settings, { pages: join(folder, 'pages') })
  return { ...on, storage }
}

/** A server of an app: one page for every path. It keeps the requests that it gets. */
async function appServer() {
  const seen: IncomingMessage[] = []
  const server = createServer((request, response) => {
    seen.push(request)
    response.setHeader('content-type', 'text/html').end('<!doctype html><title>app</title><body>')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = async (): Promise<void> => {
    server.closeAllConnections()
    server.close()
  }
  return { port: (server.address() as AddressInfo).port, seen, [Symbol.asyncDispose]: stop }
}

const statusOf = (page: Page, method: string, path: string, body?: object): Promise<number> =>
  page.evaluate(
    async ([method, path, body]) => {
      const headers = { 'content-type': 'application/json' }
      const sent = { method, ...(body && { headers, body: JSON.stringify(body) }) }
      return (await fetch(path, sent)).status
    },
    [method, path, body] as const,
  )

/** Tries from the page of an app to use the session of the dashboard at `at`. Each value is what came of one way. */
const ATTACK = `async at => {
  const post = (mode, path, sent) =>
    fetch(at + path, { method: 'POST', mode, credentials: 'include', ...sent }).then(({ type }) => type, () => 'error')
  const first = (target, ...names) =>
    new Promise(resolve => names.forEach(name => target.addEventListener(name, () => resolve(name))))
  const added = (name, src) => {
    const element = document.createElement(name)
    const event = first(element, 'load', 'error')
    element.src = src
    document.body.append(element)
    return event
  }
  const json = { headers: { 'content-type': 'application/json' }, body: '{"name":"stolen","role":"admin"}' }
  const came = {
    // A request that needs no body is sent without a question; what comes of it is seen in the store.
    simple: await post('no-cors', '/v1/dashboard/links'),
    json: await post('cors', '/v1/tokens', json),
    events: await first(new EventSource(at + '/v1/changes', { withCredentials: true }), 'open', 'error'),
    webSocket: await first(new WebSocket(at.replace('http', 'ws') + '/v1/changes'), 'open', 'error'),
    script: await added('script', at + '/assets/own.js'),
  }
  // A frame fires "load" also where its page was refused.
  await added('iframe', at + '/')
  return came
}`

/** Sends a form to the dashboard at `at`, as a browser could long before it could fetch. */
const FORM = `at => {
  document.body.innerHTML = '<form method="post" enctype="text/plain"><input></form>'
  const [form] = document.forms
  form.elements[0].name = '{"name":"stolen","role":"admin","x":"'
  form.elements[0].value = '"}'
  form.action = at + '/v1/tokens'
  form.submit()
}`

/** Runs the text of a function in the page: the names of a browser are unknown to the types of these tests. */
const runIn = (page: Page, text: string, at: string): Promise<unknown> =>
  page.evaluate(`(${text})(${JSON.stringify(at)})`)

describe.skipIf(!(await hasProgram('chromium')))(
  'a browser that is signed in (skipped where chromium is missing)',
  () => {
    for (const { dashboard, app, setting } of PLACES)
      test(`at ${dashboard} lets no page of an app at ${app} use the session`, async () => {
        const port = await freePort()
        const url = `http://${dashboard}:${port}`
        await using on = await master(port, setting ? url : undefined)
        await using server = await appServer()
        await using person = await browser(PLACES.flatMap(place => [place.dashboard, place.app]))
        const own = await person.open()
        await own.goto(`${url}/apps/blog`)
        const { token } = await on.admin.call('createToken', { body: { name: 'ann', role: 'admin' } })
        assert.equal(await statusOf(own, 'POST', '/v1/dashboard/session', { token }), 201)
        assert.equal(await statusOf(own, 'GET', '/v1/apps'), 200)
        assert.equal(await statusOf(own, 'POST', '/v1/tokens', { name: 'of the own page', role: 'admin' }), 201)
        const event = await own.evaluate(
          () =>
            new Promise(resolve => {
              const events = new EventSource('/v1/changes')
              for (const name of ['open', 'error']) events.addEventListener(name, () => resolve(name))
            }),
        )
        assert.equal(event, 'open')

        const theirs = await person.open()
        await theirs.goto(`http://${app}:${server.port}/`)
        const came = await runIn(theirs, ATTACK, url)
        assert.deepEqual(came, {
          simple: 'opaque',
          json: 'error',
          events: 'error',
          webSocket: 'error',
          script: 'error',
        })
        const framed = theirs.frames().find(frame => frame !== theirs.mainFrame())
        assert.notEqual(await framed?.title(), 'dashboard')
        const form = theirs.waitForResponse(response => response.url().startsWith(`${url}/v1/tokens`))
        await runIn(theirs, FORM, url)
        assert.equal((await form).status(), 403)
        const { items } = await on.admin.call('listTokens', {})
        assert.deepEqual(
          items.filter(({ name }) => name === 'stolen'),
          [],
        )
        assert.deepEqual(await on.storage.list('dashboard-links/'), [])
        // This shows why the origin has to be asked for, and why the dashboard needs a hostname of its own: a cookie is sent to every port.
        const sent = server.seen.some(({ headers }) => headers.cookie?.includes('shadow_dashboard='))
        assert.equal(sent, dashboard === app)
        assert.equal(await statusOf(own, 'GET', '/v1/apps'), 200)
      })
  },
)
