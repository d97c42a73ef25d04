import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type Page } from 'playwright-core'

const CHROMIUM = '/usr/bin/chromium'

/** A browser on this machine (Debian's package chromium). */
export type Browser = AsyncDisposable & {
  open(): Promise<Page>
}

/** Starts Chromium with a profile of its own. It resolves these hostnames to this machine. It can run as root, also in a container. */
export async function browser(hostnames: readonly string[]): Promise<Browser> {
  const profile = await mkdtemp(join(tmpdir(), 'shadow-browser-'))
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--host-resolver-rules=${hostnames.map(hostname => `MAP ${hostname} 127.0.0.1`).join(', ')}`,
    ],
  })
  return {
    open: () => context.newPage(),
    async [Symbol.asyncDispose]() {
      await context.close()
      await rm(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
