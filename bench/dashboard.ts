import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { browser } from '../test/tools/browser.ts'
import { installed } from '../test/tools/installed.ts'
import { buildPage, firstLoad } from './dashboard/assets.ts'
import { liveUpdates, PAGES, watchedCpu } from './dashboard/live.ts'
import { startNode } from './dashboard/node.ts'
import { firstPaint, signedIn } from './dashboard/page.ts'
import { benchFlags, countAim, interleave, machine, print, type Row, ratioAim, rowOf, rowOfOne } from './lib/bench.ts'
import { residentMiB } from './lib/process.ts'
import { startMasterOf } from './master/served.ts'

const { json, rounds } = benchFlags({ rounds: 9 })
const FEW = 10
const MANY = 10_000
const LIVE = 20
const PAGE = { sort: 'name', limit: 100 } as const

const rows: Row[] = []
await using held = new AsyncDisposableStack()
const folder = await mkdtemp(join(tmpdir(), 'shadow-bench-'))
held.defer(() => rm(folder, { recursive: true }))
const { folder: program, shadow } = held.use(await installed())
const page = await buildPage(join(program, 'dist/dashboard'))

const [few, many] = await Promise.all(
  [FEW, MANY].map(async size => {
    const place = `directory:${join(folder, `apps-${size}`)}`
    const master = held.use(await startMasterOf({ shadow, folder: join(folder, `master-${size}`), place, size }))
    return { ...master, node: held.use(await startNode(master.client, size)) }
  }),
)
if (few === undefined || many === undefined) throw new Error('two masters were started')

for (const { client, size, pid } of [few, many]) {
  const from = performance.now()
  await client.call('getOverview', { query: PAGE })
  rows.push(rowOfOne(`first look of a master, ${size} apps`, 'ms', performance.now() - from))
  rows.push(rowOfOne(`memory of the master then, ${size} apps`, 'MiB', await residentMiB(pid)))
}

// A browser for each: a cookie is for all ports of a host.
const tabs = await Promise.all(
  [few, many].map(async one => ({ ...one, tab: await signedIn(held.use(await browser([])), one) })),
)
const asks = [few, many].map(({ client, size }) => ({
  name: `a page of the list by the API, ${size} apps`,
  unit: 'ms',
  async measure() {
    const from = performance.now()
    await client.call('getOverview', { query: PAGE })
    return performance.now() - from
  },
}))
const searches = [few, many].map(({ client, size }) => ({
  name: `a search by cost, ${size} apps`,
  unit: 'ms',
  async measure() {
    const from = performance.now()
    await client.call('getOverview', { query: { search: 'app-9', sort: 'cost', order: 'desc', limit: 100 } })
    return performance.now() - from
  },
}))
const paints = tabs.map(({ tab, url, size }) => ({
  name: `first paint of the list, ${size} apps`,
  unit: 'ms',
  measure: () => firstPaint(tab, url),
}))
const cases = [...asks, ...searches, ...paints]
const samples = await interleave(cases, { rounds })
rows.push(...cases.map(one => rowOf(one, samples)))

const cpu = await watchedCpu(many, tabs[1]?.tab)
rows.push(rowOfOne(`CPU of the master, ${PAGES} open pages, ${MANY} apps, one change a second`, '%', cpu))
const updates = await liveUpdates(many, tabs[1]?.tab, LIVE)
const update = { name: `a change of phase at the node, until it is in the page, ${MANY} apps`, unit: 'ms' }
rows.push(rowOf(update, new Map([[update.name, [updates]]])))
const load = await firstLoad(page)
rows.push(rowOfOne('first load, all that index.html names', 'KB gzip', load.allKb))

print(
  {
    bench: 'dashboard',
    machine: machine(),
    rounds,
    rows,
    aims: [
      countAim('js KB gzip', 150, load.scriptKb),
      ratioAim('10000/10 apps first paint', 1.5, samples, paints[1]?.name ?? '', paints[0]?.name ?? ''),
      countAim('master CPU % with 50 pages', 5, cpu),
    ],
    notes: [
      'first paint: from the start of the navigation until the first row of the list is in the document, in Chromium, signed in, with the files of the page in its cache',
      'one node has an instance of each app; it is the code of a node that tells masters of changes, over instances that the bench changes',
      `${PAGES} open pages: streams of server-sent events with a token, and one of them in Chromium; CPU is that of the process of the master, as a share of one core`,
      'first look: the master has read nothing of the apps yet',
    ],
  },
  json,
)
