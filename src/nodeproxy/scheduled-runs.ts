import { request } from 'node:http'
import type { z } from 'zod'
import type { RunResultSchema, ScheduledRunSchema } from '../api/schedule-schemas.ts'
import { deadline } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { appOf, type InstanceId } from '../model/instance-id.ts'
import type { AppName } from '../model/names.ts'
import { sayMs } from '../model/quantities.ts'
import { runInContainer } from './container-command.ts'
import type { HostedApps } from './hosted-apps.ts'
import type { ReadyOptions } from './readiness.ts'
import type { Runtime } from './runtime/runtime.ts'

type Asked = z.output<typeof ScheduledRunSchema>
type Result = z.output<typeof RunResultSchema>

type Parts = {
  readonly hosted: Pick<HostedApps, 'hold' | 'containerOf'>
  readonly runtime: Pick<Runtime, 'exec'>
  readonly visitorsOf: (app: AppName) => Pick<ReadyOptions, 'hostname' | 'proto'>
  readonly clock: Clock
}

const MOST_OF_ANSWER = 2_048

/** Does what a schedule says with an instance: wakes it, and keeps it awake until that is done. */
export class ScheduledRuns {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Fails as a hold does, and with `answer-late` where it takes longer than it may. */
  async run(
    instance: InstanceId,
    { what, withinMs, action }: Asked,
    permit: string | undefined,
    signal: AbortSignal,
  ): Promise<Result> {
    const { hosted, clock } = this.#parts
    using limit = deadline(clock, withinMs, () => tooLong(instance, withinMs))
    const until = AbortSignal.any([signal, limit.signal])
    using held = await hosted.hold(
      instance,
      { kind: 'request', cause: 'schedule', what, bytes: 0, mayWake: true, permit },
      { signal: until },
    )
    if (action.kind === 'request') return await this.#ask(appOf(instance), held.address, action.path, until)
    const container = hosted.containerOf(instance, held)
    const { command } = action
    const { runtime } = this.#parts
    const { code, said } = await runInContainer({
      runtime,
      container,
      command,
      signal: until,
      mostBytes: MOST_OF_ANSWER,
    })
    return { exitCode: code, lastLines: said }
  }

  /** Sends a GET as a visitor would, and reads the answer to its end. */
  #ask(app: AppName, address: string, path: string, signal: AbortSignal): Promise<Result> {
    const { hostname, proto = 'http' } = this.#parts.visitorsOf(app)
    const headers = {
      'user-agent': 'shadow-schedule',
      'x-forwarded-proto': proto,
      ...(hostname !== undefined && { host: hostname, 'x-forwarded-host': hostname }),
    }
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void =>
        reject(
          signal.aborted
            ? signal.reason
            : new ShadowError('app-unreachable', `${app}: ${error.message}`, { cause: error }),
        )
      request({ ...endpoint(address), path, headers, agent: false, signal }, response => {
        let kept = Buffer.alloc(0)
        response
          .on('data', (chunk: Buffer) => {
            if (kept.length < MOST_OF_ANSWER) kept = Buffer.concat([kept, chunk]).subarray(0, MOST_OF_ANSWER)
          })
          .on('error', fail)
          .on('end', () => resolve({ status: response.statusCode ?? 0, lastLines: kept.toString().trimEnd() }))
      })
        .on('error', fail)
        .end()
    })
  }
}

const tooLong = (instance: InstanceId, withinMs: number): ShadowError =>
  new ShadowError('answer-late', `the run of ${instance} took longer than ${sayMs(withinMs)} and was ended`, {
    hint: 'give the schedule more time: --within',
  })
