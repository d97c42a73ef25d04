import { setTimeout as wait } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import type { MasterClient } from '../../src/api/client.ts'
import { cpuMs } from '../lib/process.ts'
import type { BenchNode } from './node.ts'

export const PAGES = 50
const SETTLE_MS = 5_000
const SECONDS = 30
/** An app in the first rows of the list. */
const SHOWN = 'app-0'

type Watched = { readonly client: MasterClient; readonly pid: number; readonly url: string; readonly node: BenchNode }

/** The CPU of the master as a share of one core, in percent, while pages are open and an app wakes or sleeps each second. */
export async function watchedCpu({ client, pid, url, node }: Watched, tab: Page | undefined): Promise<number> {
  await tab?.goto(url)
  await using streams = await openStreams(client, PAGES - (tab === undefined ? 0 : 1))
  await wait(SETTLE_MS)
  const before = { cpu: await cpuMs(pid), at: performance.now(), bytes: streams.bytes() }
  for (let second = 0; second < SECONDS; second++) {
    node.set(`app-${second % 20}`, second % 40 < 20 ? 'awake' : 'asleep')
    await wait(1_000)
  }
  if (streams.bytes() - before.bytes < SECONDS * 100) throw new Error('the open pages were not sent the changes')
  return (100 * ((await cpuMs(pid)) - before.cpu)) / (performance.now() - before.at)
}

/** Streams of changes that are read and thrown away. */
async function openStreams(client: MasterClient, count: number): Promise<AsyncDisposable & { bytes: () => number }> {
  const left = new AbortController()
  let bytes = 0
  const answers = await Promise.all(
    Array.from({ length: count }, () => client.raw('followOverview', { query: {}, signal: left.signal })),
  )
  for (const [at, { body }] of answers.entries())
    body
      .on('data', (chunk: Buffer) => {
        if (at === 0) bytes += chunk.length
      })
      .on('error', () => undefined) // the bench has left
  return {
    bytes: () => bytes,
    async [Symbol.asyncDispose]() {
      left.abort()
    },
  }
}

/** How long each change of a phase takes from the node to the row in the page, in ms. */
export async function liveUpdates({ node, url }: Watched, tab: Page | undefined, times: number): Promise<number[]> {
  if (tab === undefined) return []
  await tab.goto(url)
  const found: number[] = []
  for (let time = 0; time < times; time++) {
    const [before, after] = time % 2 === 0 ? (['asleep', 'awake'] as const) : (['awake', 'asleep'] as const)
    // By the mark of the phase: the word alone is in other cells of the row too.
    const row = tab.locator('[role="row"]', { has: tab.getByRole('link', { name: SHOWN, exact: true }) })
    await row.locator(`.phase.${before}`).waitFor()
    const from = performance.now()
    node.set(SHOWN, after)
    await row.locator(`.phase.${after}`).waitFor()
    found.push(performance.now() - from)
  }
  return found
}
