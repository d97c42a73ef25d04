// make screenshots: pictures of the dashboard for docs/ and the README, of a real Shadow with real containers after a week that a clock made short.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { openDashboard } from '../../test/tools/dashboard.ts'
import { Shadow } from '../../test/tools/shadow.ts'

const HOUR_MS = 3_600_000
const DAYS = 7
const folder = join(import.meta.dirname, '../../docs/images')
const PRICES = 'currency=EUR,memory-gib-hour=0.008,cpu-hour=0.02,volume-gib-month=0.09'

/** An app, and the hours of the day (UTC) at which it is visited on each day of the week. */
type Visited = { readonly name: string; readonly idleAfter: string; readonly hours: (day: number) => readonly number[] }

const APPS: readonly Visited[] = [
  { name: 'blog', idleAfter: '1h', hours: () => [7, 12, 18] },
  { name: 'shop', idleAfter: '2h', hours: () => [8, 11, 14, 20] },
  { name: 'wiki', idleAfter: '2h', hours: day => (day < 5 ? [9] : []) },
  { name: 'home-inventory', idleAfter: '15m', hours: day => (day === 2 ? [19] : []) },
  { name: 'notes-anna', idleAfter: '30m', hours: day => [7 + (day % 3)] },
  { name: 'recipes', idleAfter: '1h', hours: day => (day > 3 ? [17] : []) },
  { name: 'status-page', idleAfter: '10m', hours: () => [] },
]

await using shadow = await Shadow.start({ env: { SHADOW_PRICES: PRICES } })
await week()
await pictures()

/** Lives through a week: apps are visited by the hour, one is deployed and rolled back, one crashes. */
async function week(): Promise<void> {
  shadow.clock.setWall(-DAYS * 24 * HOUR_MS)
  await shadow.spoken()
  for (const { name, idleAfter } of APPS)
    await shadow.register(name, { volume: { size: '64MiB' }, sleep: { idleAfter } } as never)
  const begun = shadow.clock.wall()
  let env: { THEME: string } | undefined
  for (let hour = 0; hour < DAYS * 24; hour++) {
    const at = new Date(begun + hour * HOUR_MS).getUTCHours()
    const visited = APPS.filter(({ hours }) => hours(Math.floor(hour / 24)).includes(at))
    if (visited.length === 0) continue
    await passUntil(begun + hour * HOUR_MS)
    for (const { name } of visited) await shadow.ask(name)
    if (hour > 70 && env === undefined) {
      env = { THEME: 'winter' }
      await shadow.admin.call('updateApp', { params: { app: 'shop' }, body: { env } })
    }
    await passUntil(shadow.clock.wall() + HOUR_MS * 0.8)
  }
  await passUntil(begun + DAYS * 24 * HOUR_MS)
}

/** Moves the clock; a node announces itself in small steps. */
async function passUntil(wall: number): Promise<void> {
  shadow.clock.leap(Math.max(0, wall - shadow.clock.wall() - 10_000))
  await shadow.pass(10_000)
}

async function pictures(): Promise<void> {
  await mkdir(folder, { recursive: true })
  await shadow.ask('shop')
  await shadow.ask('blog')
  await using dashboard = await openDashboard(shadow)
  const { page } = dashboard
  const take = async (name: string, path: string, ready: string): Promise<void> => {
    await dashboard.go(path)
    await page.getByText(ready).first().waitFor()
    await page.waitForLoadState('networkidle').catch(() => undefined)
    await page.screenshot({ path: join(folder, `${name}.png`) })
  }
  await page.setViewportSize({ width: 1280, height: 720 })
  await take('apps', '/', 'home-inventory')
  await page.emulateMedia({ colorScheme: 'dark' })
  await take('app', '/apps/shop', 'sleeps in')
  console.log(`docs/images: apps.png, app.png`)
}
