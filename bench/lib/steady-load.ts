import { Agent, request } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'

/** What clients saw that asked an app again and again. */
export type Seen = {
  readonly requests: number
  /** Requests that had another answer than 200, or none, with the first such failure in words. */
  readonly failed: number
  readonly firstFailure: string | undefined
  /** The longest that a request took, in ms. */
  readonly longestMs: number
}

const PAUSE_MS = 2

/** Asks the path of a host by so many clients, each of which keeps its connection, until the action is done. */
export async function underLoad(
  { front, host, path, clients }: { front: string; host: string; path: string; clients: number },
  action: () => Promise<unknown>,
): Promise<Seen> {
  const { hostname, port } = new URL(front)
  let done = false
  let requests = 0
  let longestMs = 0
  const failures: string[] = []
  const one = (agent: Agent): Promise<void> =>
    new Promise((resolve, reject) => {
      request({ hostname, port, path, agent, headers: { host } })
        .on('response', answer => {
          if (answer.statusCode !== 200)
            reject(new Error(`${answer.statusCode} ${answer.headers['x-shadow-error'] ?? ''}`))
          answer.resume().on('end', resolve).on('error', reject)
        })
        .on('error', reject)
        .end()
    })
  const client = async (): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    while (!done) {
      const from = performance.now()
      await one(agent).catch(error => failures.push(String(error)))
      requests += 1
      longestMs = Math.max(longestMs, performance.now() - from)
      await wait(PAUSE_MS)
    }
    agent.destroy()
  }
  const all = Array.from({ length: clients }, client)
  await action().finally(() => {
    done = true
  })
  await Promise.all(all)
  return { requests, failed: failures.length, firstFailure: failures[0], longestMs }
}
