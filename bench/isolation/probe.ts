// The visitors of the innocent apps in bench/isolation.ts: node probe.ts '{"front": …, "master": …, "token": …, "seconds": …}'. Prints an
// Outcome for each of them.
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { hostnameOf } from './tenants.ts'

/** The answers of one target: `ms` of each good answer, and what was wrong with the others. */
export type Outcome = { readonly ms: number[]; readonly wrong: string[]; readonly lost: string[]; repeated: number }

type Place = { readonly front: number; readonly master: number; readonly token: string; readonly seconds: number }
type Probe = {
  readonly everyMs: number
  readonly port: number
  readonly path: string
  readonly headers: Record<string, string>
  readonly is: (text: string) => boolean
}

const LATEST_MS = 30_000

const { front, master, token, seconds }: Place = JSON.parse(process.argv[2] ?? '{}')
const until = performance.now() + seconds * 1_000
const agent = new Agent({ keepAlive: true })

const visiting = (name: string, everyMs: number): Probe => ({
  everyMs,
  port: front,
  path: '/',
  headers: { host: hostnameOf(name) },
  is: text => text === name,
})
const probes: Readonly<Record<string, Probe>> = {
  steady: visiting('steady', 25),
  sleepy: visiting('sleepy', 6_000),
  master: {
    everyMs: 100,
    port: master,
    path: '/v1/apps/steady',
    headers: { authorization: `Bearer ${token}` },
    is: text => (JSON.parse(text) as { name?: string }).name === 'steady',
  },
}

const outcomes = await Promise.all(
  Object.entries(probes).map(async ([name, probe]) => [name, await outcomeOf(probe)] as const),
)
process.stdout.write(JSON.stringify(Object.fromEntries(outcomes)), () => process.exit())

/** Sends requests at an even pace, whether or not earlier ones were answered. */
async function outcomeOf(probe: Probe): Promise<Outcome> {
  const outcome: Outcome = { ms: [], wrong: [], lost: [], repeated: 0 }
  const open = new Set<Promise<void>>()
  for (let due = performance.now(); due < until; due += probe.everyMs) {
    await sleep(Math.max(0, due - performance.now()))
    const answered = askOnce(probe, due, outcome).finally(() => open.delete(answered))
    open.add(answered)
  }
  await Promise.all(open)
  return outcome
}

/** Sends one request. The time counts from when the request was due, so that a late sender does not hide a stall of the server. */
function askOnce(probe: Probe, due: number, outcome: Outcome, mayRepeat = true): Promise<void> {
  const { port, path, headers, is } = probe
  const at = `at ${Math.round((due - until) / 1_000 + seconds)} s`
  return new Promise(resolve => {
    const lost = (why: string): void => {
      outcome.lost.push(`${why} ${at}`)
      resolve()
    }
    const sent = request({ host: '127.0.0.1', port, path, headers, agent })
    sent.setTimeout(LATEST_MS, () => sent.destroy(new Error(`nothing for ${LATEST_MS} ms`)))
    let isAnswered = false
    sent.on('error', (error: NodeJS.ErrnoException) => {
      // The master closes idle connections after 5 s. A GET that meets the close is sent again, as every HTTP client does (RFC 9112,
      // 9.3.1).
      // The front keeps idle connections for longer than a probe leaves them idle, so a reset by the front is a loss.
      const meetsClose = mayRepeat && port === master && sent.reusedSocket && !isAnswered && error.code === 'ECONNRESET'
      if (!meetsClose) return lost(error.message)
      outcome.repeated += 1
      resolve(askOnce(probe, due, outcome, false))
    })
    sent.on('response', answer => {
      isAnswered = true
      let text = ''
      answer.setEncoding('utf8').on('data', more => {
        text += more
      })
      answer.on('error', error => lost(`cut: ${error.message}`))
      answer.on('end', () => {
        if (answer.statusCode !== 200) return lost(`${answer.statusCode} ${answer.headers['x-shadow-error'] ?? ''}`)
        if (is(text)) outcome.ms.push(performance.now() - due)
        else outcome.wrong.push(`${JSON.stringify(text.slice(0, 100))} ${at}`)
        resolve()
      })
    })
    sent.end()
  })
}
