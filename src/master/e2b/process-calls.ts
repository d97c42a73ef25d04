import { z } from 'zod'
import { parseValue } from '../../api/parse-call.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { AppName } from '../../model/names.ts'
import { messages, type Outgoing, type Rpc, streamed, unary } from './connect.ts'
import type { Open } from './container.ts'
import { fault, notOffered } from './faults.ts'
import { Keepalive } from './keepalive.ts'
import type { Processes, Selector } from './processes.ts'
import type { RunningProcess } from './running-process.ts'

const size = z.object({ cols: z.int().min(1).max(10_000), rows: z.int().min(1).max(10_000) })
const pty = z.object({ size })
const selector = z.union([z.object({ pid: z.int() }), z.object({ tag: z.string() })])
const input = z.union([z.object({ stdin: z.base64() }), z.object({ pty: z.base64() })])
const startInput = z.object({
  process: z.object({
    cmd: z.string().min(1),
    args: z.array(z.string()).default([]),
    envs: z.record(z.string(), z.string()).default({}),
    cwd: z.string().max(4_096).optional(),
  }),
  pty: pty.optional(),
  tag: z.string().max(200).optional(),
  stdin: z.boolean().default(true),
})
const SIGNALS = { SIGNAL_SIGTERM: 'TERM', SIGNAL_SIGKILL: 'KILL' } as const
const ofProcess = z.object({ process: selector })
const ofSignal = ofProcess.extend({ signal: z.enum(['SIGNAL_SIGTERM', 'SIGNAL_SIGKILL']) })
const ofInput = ofProcess.extend({ input })
const ofUpdate = ofProcess.extend({ pty: pty.optional() })
const ofInputStream = z.union([
  z.object({ start: ofProcess }),
  z.object({ data: z.object({ input }) }),
  z.object({ keepalive: z.object({}) }),
])

type Parts = { readonly processes: Processes; readonly clock: Clock; readonly log: Log }
/** The sandbox that a call is for, and who it runs as. */
export type Target = { readonly sandbox: AppName; readonly open: Open; readonly user: string | undefined }

/** The calls of `process.Process`. */
export async function serveProcessCall(method: string, rpc: Rpc, target: Target, parts: Parts): Promise<void> {
  const { processes, log } = parts
  const { sandbox } = target
  const of = (asked: Selector): RunningProcess => processes.get(sandbox, asked)
  switch (method) {
    case 'Start':
      return streamed(rpc, log, async out => {
        const process = await start(await onlyMessage(rpc), target, rpc, processes)
        await follow(process, out, rpc, parts.clock)
      })
    case 'Connect':
      return streamed(rpc, log, async out => {
        const process = of(parseValue(ofProcess, await onlyMessage(rpc)).process)
        await follow(process, out, rpc, parts.clock)
      })
    case 'StreamInput':
      return streamed(rpc, log, async out => {
        await takeInput(rpc, of)
        await out.send({})
      })
    case 'List':
      return unary(rpc, async () => ({
        processes: processes
          .of(sandbox)
          .map(({ pid, tag, config }) => ({ config, pid, ...(tag !== undefined && { tag }) })),
      }))
    case 'SendInput':
      return unary(rpc, async value => {
        const asked = parseValue(ofInput, value)
        await of(asked.process).write(bytesOf(asked.input))
        return {}
      })
    case 'SendSignal':
      return unary(rpc, async value => {
        const asked = parseValue(ofSignal, value)
        await of(asked.process).signal(SIGNALS[asked.signal])
        return {}
      })
    case 'CloseStdin':
      return unary(rpc, async value => {
        await of(parseValue(ofProcess, value).process).endInput()
        return {}
      })
    case 'Update':
      return unary(rpc, async value => {
        const asked = parseValue(ofUpdate, value)
        const { cols, rows } = asked.pty?.size ?? {}
        if (cols !== undefined && rows !== undefined) await of(asked.process).resize(cols, rows)
        return {}
      })
    default:
      return unary(rpc, () => Promise.reject(notOffered(`process.Process/${method}`)))
  }
}

async function start(value: unknown, { sandbox, open, user }: Target, rpc: Rpc, processes: Processes) {
  const asked = parseValue(startInput, value)
  const process = await processes.start(
    open,
    {
      ...{ sandbox, user },
      config: asked.process,
      tag: asked.tag,
      pty: asked.pty && { columns: asked.pty.size.cols, rows: asked.pty.size.rows },
      stdin: asked.stdin,
    },
    rpc.signal,
  )
  // The client gives its command this time, also if it leaves before.
  if (rpc.timeoutMs !== undefined) process.expireIn(rpc.timeoutMs)
  return process
}

/** Sends what comes of a process, until it has ended or the client leaves. The process goes on. */
async function follow(process: RunningProcess, out: Outgoing, rpc: Rpc, clock: Clock): Promise<void> {
  using keepalive = new Keepalive(clock, rpc.pingEveryMs, () => out.send({ event: { keepalive: {} } }))
  await out.send({ event: { start: { pid: process.pid } } })
  using _listening = await process.listen(async event => {
    keepalive.used()
    await out.send({ event })
  })
  await Promise.race([process.over, untilGone(rpc.signal)])
}

async function takeInput(rpc: Rpc, of: (selector: Selector) => RunningProcess): Promise<void> {
  let process: RunningProcess | undefined
  for await (const value of messages(rpc.request)) {
    const event = parseValue(ofInputStream, value)
    if ('start' in event) process = of(event.start.process)
    else if ('data' in event) {
      if (process === undefined) throw fault('invalid_argument', 'a stream of input begins with its process')
      await process.write(bytesOf(event.data.input))
    }
  }
}

/** The message of a call that has one. */
export async function onlyMessage({ request }: Rpc): Promise<unknown> {
  for await (const value of messages(request)) return value
  throw fault('invalid_argument', 'the call has no message')
}

const bytesOf = (from: z.output<typeof input>): Buffer => Buffer.from('stdin' in from ? from.stdin : from.pty, 'base64')

const untilGone = (signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
