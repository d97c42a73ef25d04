import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { hasProgram } from '../../test/tools/programs.ts'

/** A load: what is requested of a proxy, and how. */
export type Load = {
  /**
   * `closed`: each connection sends its next request after an answer. `open`: `perSecond` requests, whatever is answered. `fresh`: a
   * connection for each request. `websocket`: messages, each after the echo of the last one.
   */
  readonly kind: 'closed' | 'open' | 'fresh' | 'websocket'
  readonly port: number
  readonly tls?: boolean
  /** A new TLS connection resumes the session of an earlier one; otherwise each makes a full handshake. */
  readonly resume?: boolean
  readonly path: string
  /** Requested in turn. */
  readonly hostnames: readonly string[]
  readonly connections: number
  readonly seconds: number
  readonly perSecond?: number
}

/** The outcome of a load. `done` counts answers with 200 (or echoes), `failed` all others. */
export type Outcome = {
  readonly done: number
  readonly failed: number
  readonly seconds: number
  readonly p50Us: number
  readonly p99Us: number
}

/** Runs a load on one core: with wrk if it can do it, else with a client of our own. */
export async function load(core: number, wanted: Load): Promise<Outcome> {
  const { kind, hostnames } = wanted
  if (kind === 'closed' && hostnames.length === 1 && hasProgram('wrk')) return wrk(core, wanted)
  const client = fileURLToPath(import.meta.resolve('../load/client.ts'))
  return JSON.parse(await output(core, process.execPath, [client, JSON.stringify(wanted)]))
}

// wrk costs a third of our own client, so that the proxy is the bottleneck.
async function wrk(core: number, { port, tls, path, hostnames, connections, seconds }: Load): Promise<Outcome> {
  const headers = ['-H', `Host: ${hostnames[0]}`]
  const url = `${tls ? 'https' : 'http'}://${tls ? 'localhost' : '127.0.0.1'}:${port}${path}`
  const said = await output(core, 'wrk', ['-t1', `-c${connections}`, `-d${seconds}`, '--latency', ...headers, url])
  const [, requests, took] = /(\d+) requests in ([\d.]+\w+)/.exec(said) ?? []
  const non2xx = Number(/Non-2xx or 3xx responses: (\d+)/.exec(said)?.[1] ?? 0)
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(said)?.slice(1) ?? []
  if (requests === undefined || took === undefined) throw new Error(`wrk said: ${said}`)
  return {
    done: Number(requests) - non2xx,
    failed: non2xx + errors.reduce((sum, one) => sum + Number(one), 0),
    seconds: micros(took) / 1e6,
    p50Us: micros(/50%\s+([\d.]+\w+)/.exec(said)?.[1] ?? ''),
    p99Us: micros(/99%\s+([\d.]+\w+)/.exec(said)?.[1] ?? ''),
  }
}

function micros(said: string): number {
  const factor = { us: 1, ms: 1e3, s: 1e6, m: 6e7 }[said.replace(/[\d.]+/, '')]
  return Number.parseFloat(said) * (factor ?? Number.NaN)
}

async function output(core: number, program: string, args: readonly string[]): Promise<string> {
  const child = spawn('taskset', ['-c', String(core), program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  if (out === '') throw new Error(`${program} ${args.join(' ')} said nothing but ${err}`)
  return out
}
