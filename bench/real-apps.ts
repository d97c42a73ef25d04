/**
 * Six programs that nobody here wrote sleep and wake, with a write in each cycle. At the end each has every word that it ever accepted.
 *
 * missing: words that were accepted before a sleep, and were not there after it.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { countAim, machine, print, type Row, rowOf } from './lib/bench.ts'
import { startUp } from './lib/up.ts'
import { type RealApp, realApps, type Use } from './real-apps/apps.ts'
import { Browser } from './real-apps/browser.ts'

const HELP = `usage: npm run real-apps -- [--cycles N] [--only PATTERN] [--json]

  --cycles N      how often each sleeps and wakes; default 10
  --only PATTERN  the programs only whose name matches, such as 'django|postgres'

One aim, which is 0:
  missing         words that were accepted before a sleep, and were not there after it
It needs root, Docker, and Debian's package debootstrap. It makes an image of 1.2 GB, once, which takes some minutes.
`

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    cycles: { type: 'string', default: '10' },
    only: { type: 'string', default: '' },
  },
})
if (flags.help) {
  process.stdout.write(HELP)
  process.exit()
}

const run = promisify(execFile)
const cycles = Number(flags.cycles)
const say = (line: string): void => void process.stderr.write(`${line}\n`)
say('the image')
const image = (await run(join(import.meta.dirname, 'real-apps/make-image'))).stdout.trim()

await using up = await startUp()
const { front, api, shadow, env } = up

const rows: Row[] = []
const notes: string[] = []
let missing = 0
for (const app of realApps.filter(({ name }) => new RegExp(flags.only).test(name))) {
  const row = `${app.name}, asleep to its first answer`
  const { lost, wakes } = await cycle(app)
  missing += lost.length
  if (lost.length > 0) notes.push(`${app.name} lost ${lost.join(', ')}`)
  notes.push(`${app.name}: ${app.says}`)
  rows.push(rowOf({ name: row, unit: 'ms' }, new Map([[row, [wakes]]])))
}
print(
  { bench: 'real-apps', machine: machine(), rounds: cycles, rows, aims: [countAim('missing', 0, missing)], notes },
  flags.json,
)

/** Writes a word, lets the app sleep, and reads all words, again and again. */
async function cycle({ name, definition, setUp, write, read }: RealApp): Promise<{ lost: string[]; wakes: number[] }> {
  const params = { app: name }
  const limits = { memory: '768MiB', cpus: 2 }
  await api.call('registerApp', {
    body: { limits, startWithin: '120s', ...definition, name, image, domains: [`${name}.localhost`] },
  })
  const use: Use = {
    browser: new Browser(front, `${name}.localhost`),
    exec: async (...command) => (await run(shadow, ['exec', name, '--', ...command], { env })).stdout,
  }
  const words: string[] = []
  const lost = new Set<string>()
  const wakes: number[] = []
  await setUp?.(use)
  for (let number = 1; number <= cycles; number++) {
    const word = `word-${number}-${randomBytes(4).toString('hex')}`
    await write(use, word)
    words.push(word)
    const asleep = await api.call('sleepApp', { params })
    if (asleep.phase !== 'asleep') throw new Error(`${name} is ${asleep.phase} and not asleep`)
    const from = performance.now()
    const found = await read(use)
    wakes.push(performance.now() - from)
    for (const one of words) if (!found.includes(one)) lost.add(one)
    say(`${name}: ${number} of ${cycles}, ${lost.size} lost`)
  }
  await api.call('removeApp', { params, query: { withVolume: 'true' } })
  return { lost: [...lost], wakes }
}
