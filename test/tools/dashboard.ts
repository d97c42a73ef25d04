import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { glob, mkdir, readFile, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Page } from 'playwright-core'
import { browser } from './browser.ts'
import { type Shadow, until } from './shadow.ts'

const root = join(import.meta.dirname, '../..')
const BUILT = join(root, 'dist/dashboard/index.html')
const LOCK = join(root, 'dist/.dashboard-is-built')
const PHONE = { width: 360, height: 780 }
const DESK = { width: 1280, height: 800 }

/** The dashboard in a real browser, signed in as admin. */
export type Dashboard = AsyncDisposable & {
  readonly url: string
  readonly page: Page
  /** Errors on the console and of scripts, and requests to other hosts, of all pages so far. */
  readonly faults: readonly string[]
  /** Goes to a page and waits for its heading. */
  go(path: string): Promise<void>
  /** Fails if axe finds something on the page. */
  mustBeAccessible(page?: Page): Promise<void>
  /** Looks at the page in both themes and at the width of a phone: it must be accessible each time, and not scroll sideways. */
  mustBeFineEverywhere(): Promise<void>
  /** Another window of the same browser that the action opens. */
  opened(action: () => Promise<unknown>): Promise<Page>
}

/** Opens the dashboard of a running Shadow, and signs in by a one-time link, as `shadow dashboard` does. */
export async function openDashboard(shadow: Pick<Shadow, 'up' | 'admin'>): Promise<Dashboard> {
  await buildDashboard()
  const opened = await browser([])
  const page = await opened.open()
  const url = shadow.up.masterUrl.replace('127.0.0.1', 'localhost')
  const faults: string[] = []
  const watch = (of: Page): void => {
    of.on('console', message => {
      if (message.type() === 'error' && !message.text().includes(NETWORK_CHANGED)) faults.push(message.text())
    })
    of.on('pageerror', error => faults.push(String(error)))
    of.on('request', request => {
      const { host, protocol } = new URL(request.url())
      if (host !== new URL(url).host && protocol !== 'blob:' && protocol !== 'data:') faults.push(request.url())
    })
  }
  watch(page)
  page.context().on('page', watch)
  await page.setViewportSize(DESK)
  const link = await shadow.admin.call('createDashboardLink', {})
  await reach(() => page.goto(`${url}/#${link.url.split('#')[1]}`))
  await page.getByRole('heading', { level: 1, name: 'Apps' }).waitFor()

  const mustBeAccessible = async (of: Page = page): Promise<void> => {
    const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
    // By the debugger's protocol, as the policy of the page lets no other script in.
    await of.evaluate(source)
    const found = await of.evaluate(async () => {
      const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } }
      const { violations } = await axe.run()
      return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`)
    })
    assert.deepEqual(found, [], `accessibility of ${of.url()}`)
  }

  return {
    url,
    page,
    faults,
    async go(path) {
      await reach(() => page.goto(`${url}${path}`))
      await page.getByRole('heading', { level: 1 }).waitFor()
    },
    mustBeAccessible,
    async mustBeFineEverywhere() {
      await mustBeAccessible()
      await page.emulateMedia({ colorScheme: 'dark' })
      await mustBeAccessible()
      await page.setViewportSize(PHONE)
      const [content, window] = await page.evaluate<[number, number]>(
        '[document.documentElement.scrollWidth, innerWidth]',
      )
      assert.ok(content <= window, `${page.url()} is ${content} px wide on a phone of ${window} px`)
      await mustBeAccessible()
      await page.setViewportSize(DESK)
      await page.emulateMedia({ colorScheme: 'light' })
    },
    async opened(action) {
      const [window] = await Promise.all([page.context().waitForEvent('page'), action()])
      return window
    },
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  }
}

/** Chromium ends its requests when a network of the machine comes or goes, as those of containers do. */
const NETWORK_CHANGED = 'net::ERR_NETWORK_CHANGED'

async function reach(open: () => Promise<unknown>): Promise<void> {
  await open().catch(error => {
    if (!String(error).includes(NETWORK_CHANGED)) throw error
    return open()
  })
}

type Violation = { readonly id: string; readonly help: string; readonly nodes: readonly { readonly html: string }[] }

/** Builds the page unless it is newer than its source. One of several tests builds it, the others wait. */
async function buildDashboard(): Promise<void> {
  if (await isBuilt()) return
  await mkdir(join(root, 'dist'), { recursive: true })
  const isOurs = await mkdir(LOCK).then(
    () => true,
    () => false,
  )
  if (!isOurs) return until(async () => (await isBuilt()) || undefined).then(() => undefined)
  try {
    const vite = join(root, 'node_modules/.bin/vite')
    const config = join(root, 'src/dashboard/vite.config.ts')
    await promisify(execFile)(vite, ['build', '--config', config, '--logLevel', 'warn'], { cwd: root })
  } finally {
    await rm(LOCK, { recursive: true })
  }
}

/** Whether the files of the page are complete and newer than their source. The lock stands while they are written. */
async function isBuilt(): Promise<boolean> {
  const mtime = async (path: string): Promise<number> =>
    (await stat(path).catch(() => undefined))?.mtimeMs ?? Number.NEGATIVE_INFINITY
  if ((await mtime(LOCK)) > 0) return false
  const built = await mtime(BUILT)
  for await (const path of glob('src/{dashboard,api,model}/**/*.{ts,tsx,css,html}', { cwd: root }))
    if ((await mtime(join(root, path))) > built) return false
  return true
}
