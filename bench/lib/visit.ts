import { request } from 'node:http'

/** The time to the first byte of an answer, and the stages in its Server-Timing header. */
export type Visit = { readonly ms: number; readonly stages: readonly (readonly [string, number])[] }

/** Requests the path of a host on a new connection; fails unless the app answers with 200. */
export function firstByte(front: string, host: string, path: string): Promise<Visit> {
  const { hostname, port } = new URL(front)
  const from = performance.now()
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, path, agent: false, headers: { host } })
    sent
      .on('response', answer => {
        const ms = performance.now() - from
        const { statusCode, headers } = answer
        if (statusCode !== 200) reject(new Error(`${host} answered ${statusCode}: ${JSON.stringify(headers)}`))
        const visit = { ms, stages: stagesOf(String(headers['server-timing'] ?? '')) }
        answer
          .resume()
          .on('end', () => resolve(visit))
          .on('error', reject)
      })
      .on('error', reject)
      .end()
  })
}

const stagesOf = (text: string) =>
  [...text.matchAll(/([\w-]+);dur=([\d.]+)/g)].map(([, stage = '', ms]) => [stage, Number(ms)] as const)
