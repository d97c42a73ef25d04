import { z } from 'zod'
import { parseValue } from '../../api/parse-call.ts'
import { deadline } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { type Rpc, streamed, unary } from './connect.ts'
import { fault, notOffered } from './faults.ts'
import { type FilesystemCall, filesystemCalls } from './filesystem.ts'
import { Keepalive } from './keepalive.ts'
import { containerPath } from './paths.ts'
import { onlyMessage, type Target } from './process-calls.ts'
import { watchFolder } from './watch.ts'
import type { Watchers } from './watchers.ts'

const watched = z.object({
  path: z.string(),
  recursive: z.boolean().default(false),
  includeEntry: z.boolean().default(false),
})
const ofWatcher = z.object({ watcherId: z.string() })

type Parts = { readonly watchers: Watchers; readonly clock: Clock; readonly log: Log }

/** The calls of `filesystem.Filesystem`. */
export async function serveFilesystemCall(method: string, rpc: Rpc, target: Target, parts: Parts): Promise<void> {
  const { watchers, clock, log } = parts
  const { sandbox } = target
  const asked = (value: unknown) => {
    const { path, recursive, includeEntry } = parseValue(watched, value)
    return { path: containerPath(path), isDeep: recursive, withEntry: includeEntry, user: target.user }
  }
  switch (method) {
    case 'WatchDir':
      return streamed(rpc, log, async out => {
        const of = asked(await onlyMessage(rpc))
        using _counted = watchers.take(sandbox)
        using limit =
          rpc.timeoutMs === undefined
            ? undefined
            : deadline(clock, rpc.timeoutMs, () => fault('deadline_exceeded', 'the time of the watch is over'))
        const ending = AbortSignal.any([rpc.signal, ...(limit === undefined ? [] : [limit.signal])])
        using keepalive = new Keepalive(clock, rpc.pingEveryMs, () => out.send({ keepalive: {} }))
        const tell = {
          ready: () => out.send({ start: {} }),
          async tell(events: readonly object[]) {
            keepalive.used()
            for (const filesystem of events) await out.send({ filesystem })
          },
        }
        await watchFolder(of, { open: target.open, clock }, tell, ending).catch(error =>
          Promise.reject(limit?.signal.aborted === true ? limit.signal.reason : error),
        )
      })
    case 'CreateWatcher':
      return unary(rpc, async value => {
        const of = asked(value)
        const watch = (...told: [Parameters<typeof watchFolder>[2], AbortSignal]) =>
          watchFolder(of, { open: target.open, clock }, ...told)
        return { watcherId: await watchers.create(sandbox, watch) }
      })
    case 'GetWatcherEvents':
      return unary(rpc, async value => ({ events: watchers.events(sandbox, parseValue(ofWatcher, value).watcherId) }))
    case 'RemoveWatcher':
      return unary(rpc, async value => {
        watchers.remove(sandbox, parseValue(ofWatcher, value).watcherId)
        return {}
      })
    default: {
      const call: FilesystemCall | undefined = Object.hasOwn(filesystemCalls, method)
        ? filesystemCalls[method]
        : undefined
      if (call === undefined) return unary(rpc, () => Promise.reject(notOffered(`filesystem.Filesystem/${method}`)))
      return unary(rpc, value => call(value, target, rpc.signal))
    }
  }
}
