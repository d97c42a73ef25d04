// Rapid reset: how long does an innocent app go without an answer while 40 HTTP/2 connections open and reset 20,000 streams each?
import { spawn } from 'node:child_process'
import { Agent, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { countAim, machine, print, rowOfOne } from './lib/bench.ts'
import { startDaemon } from './lib/daemon.ts'

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    connections: { type: 'string', default: '40' },
    streams: { type: 'string', default: '20000' },
  },
})
const ALONE_MS = 3_000
const ADDED_AT_MOST_MS = 100
const EVERY_MS = 2

await using front = await startDaemon(process.execPath, [pathOf('front')])
const agent = new Agent({ keepAlive: true, maxSockets: 1 })

await gaps(sleep(1_000)) // the first requests, which load and compile code, are not measured
const alone = await gaps(sleep(ALONE_MS))
const given = {
  port: Number(front.ready['h2']),
  connections: Number(flags.connections),
  streams: Number(flags.streams),
}
const attacker = spawn(process.execPath, [pathOf('attack'), JSON.stringify(given)], {
  stdio: ['ignore', 'pipe', 'inherit'],
})
const attacked = text(attacker.stdout)
const beside = await gaps(attacked)
const { begun, connects } = JSON.parse(await attacked) as { begun: number; connects: number }
agent.destroy()

print(
  {
    bench: 'resets',
    machine: machine(),
    rounds: 1,
    rows: [
      rowOfOne('longest gap, alone', 'ms', alone.longest),
      rowOfOne('longest gap, beside them', 'ms', beside.longest),
      rowOfOne('answers a second, alone', '/s', alone.perSecond),
      rowOfOne('answers a second, beside them', '/s', beside.perSecond),
      rowOfOne('streams opened and reset', 'count', begun),
      rowOfOne('connections they took', 'count', connects),
    ],
    aims: [
      countAim('resets/added-gap-ms', ADDED_AT_MOST_MS, beside.longest - alone.longest),
      countAim('resets/lost', 0, beside.lost),
    ],
    notes: [
      `${given.connections} connections at a time, until ${given.streams} streams each were sent; a connection that is ended is made anew`,
      `the longest gap beside them is ${(beside.longest / Math.max(1, alone.longest)).toFixed(1)} times the one alone`,
    ],
  },
  flags.json,
)

function pathOf(file: 'front' | 'attack'): string {
  return fileURLToPath(import.meta.resolve(`./resets/${file}.ts`))
}

/** Sends one request after the other until then. Returns the longest time between two answers, and how many requests had none. */
async function gaps(until: Promise<unknown>): Promise<{ longest: number; perSecond: number; lost: number }> {
  let over = false
  const ends = until.finally(() => {
    over = true
  })
  const from = performance.now()
  let [longest, answers, lost, last] = [0, 0, 0, from]
  while (!over) {
    await sleep(EVERY_MS)
    if ((await asked()) !== 200) lost++
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    answers++
  }
  await ends
  return { longest, lost, perSecond: (answers * 1_000) / (performance.now() - from) }
}

function asked(): Promise<number> {
  return new Promise(resolve => {
    const port = Number(front.ready['http'])
    request({ host: '127.0.0.1', port, path: '/', headers: { host: 'a' }, agent }, response => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
    })
      .on('error', () => resolve(0))
      .end()
  })
}
