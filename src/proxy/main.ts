import { readChanges } from '../api/change-stream.ts'
import { masterClient } from '../api/client.ts'
import { pause } from '../lib/abort.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { asShadowError, ShadowError } from '../lib/errors.ts'
import { lockFolder } from '../lib/files.ts'
import { Exchanges, listenFor } from '../lib/http/fast/server.ts'
import type { Listening } from '../lib/http/listening.ts'
import type { Log } from '../lib/log.ts'
import { Buckets } from '../lib/shared/buckets.ts'
import { MASTER_CALL_WITHIN, POLL_WITHOUT_STREAM_EVERY, WEBSOCKET_PING_EVERY } from '../model/intervals.ts'
import { Guard } from './access.ts'
import type { ProxyConfig } from './config.ts'
import { frontDoor } from './http.ts'
import { openMemory } from './memory.ts'
import { Nodes } from './nodes.ts'
import { Pins } from './pins.ts'
import type { Reach } from './reach.ts'
import { reachOverHttp } from './reach-http.ts'
import { Routes } from './routes.ts'
import { TrustedProxies } from './visitor.ts'

type Options = { readonly clock?: Clock; readonly log: Log; readonly reach?: Reach }

/** Starts a front; without a `reach` given, it reaches its nodes over HTTP. Disposing it drains it first. */
export async function startProxy(config: ProxyConfig, options: Options): Promise<Listening> {
  const { clock = systemClock, log, reach = reachOverHttp() } = options
  await using started = new AsyncDisposableStack()
  const folder = `${config.data}/proxy`
  started.use(await lockFolder(folder))
  const memory = started.use(openMemory({ folder, log }))
  const master = masterClient({ url: config.master, token: config.token, withinMs: MASTER_CALL_WITHIN })
  const routes = new Routes({ master, memory, clock, log })
  const nodes = new Nodes({ master, memory, reach, clock, log })
  const pins = new Pins(memory)
  const ending = new AbortController()
  const journey = frontDoor({
    routes,
    pins,
    nodes,
    reach,
    guard: new Guard({ clock, apps: new Buckets(), clients: new Buckets() }),
    trusted: new TrustedProxies(config.trustedProxies),
    waitingPageAfterMs: config.waitingPageAfter,
    clock,
    log,
    ending: ending.signal,
  })
  const exchanges = new Exchanges({
    journey,
    log,
    clock,
    connectWithinMs: config.connectWithin,
    limits: { stalledAfterMs: config.stalledAfter },
    pingEveryMs: WEBSOCKET_PING_EVERY,
  })
  reach.onLeft?.(address => exchanges.forget(address))
  const listening = await listenFor(exchanges, config.listen, config.drainWithin)
  const work = [nodes.watch(ending.signal), followChanges({ master, routes, clock, log }, ending.signal)]
  log.info('front ready', { address: listening.address })

  const held = started.move()
  let stopped: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    const closed = listening[Symbol.asyncDispose]()
    ending.abort(new ShadowError('shutting-down', 'this front is stopping'))
    await Promise.all([closed, ...work])
    await held.disposeAsync()
    log.info('front stopped')
  }
  return {
    address: listening.address,
    port: listening.port,
    [Symbol.asyncDispose]() {
      stopped ??= stop()
      return stopped
    },
  }
}

type Following = { master: ReturnType<typeof masterClient>; routes: Routes; clock: Clock; log: Log }

/** Hears of changes until the signal aborts; while there is no stream, routes find them out as they grow stale. */
async function followChanges({ master, routes, clock, log }: Following, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const onOpen = (): void => routes.allStale()
      await readChanges({ master, clock, onOpen, onChange: change => void routes.changed(change) }, signal)
    } catch (cause) {
      if (!signal.aborted) log.debug('change stream lost', { code: asShadowError(cause).code, cause })
    }
    await pause(clock, POLL_WITHOUT_STREAM_EVERY, signal).catch(() => undefined) // the loop's head ends it
  }
}
