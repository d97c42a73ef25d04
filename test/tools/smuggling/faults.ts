import { ask } from './attack.ts'
import type { Backend } from './backends.ts'
import type { Pair } from './pairs.ts'

/** `refused`: the client must get an error, and nothing may reach the back end. `hides`: no back end may get a request for `…/evil`. */
type Attacked = { readonly name: string; readonly refused?: boolean; readonly hides?: boolean }

/** Sends the payload; returns what the client received, or undefined if it was refused. */
type Attack<P> = (payload: P) => Promise<string | undefined>

let marks = 0

/** What went wrong with each payload of a family, and with the requests after it. The targets of a payload begin with `mark`. */
export async function faultsOf<P extends Attacked>(
  pair: Pair<Backend>,
  payloads: (mark: string) => readonly P[],
  attack: Attack<P>,
): Promise<string[]> {
  const faults: string[] = []
  for (const at of payloads('').keys()) {
    const mark = `/s${++marks}`
    const payload = payloads(mark)[at] as P
    faults.push(...(await faultsOfOne(pair, mark, payload, attack)).map(fault => `${payload.name}: ${fault}`))
  }
  return faults
}

async function faultsOfOne<P extends Attacked>(
  { front, backend }: Pair<Backend>,
  mark: string,
  payload: P,
  attack: Attack<P>,
): Promise<string[]> {
  const { refused, hides } = payload
  const faults: string[] = []
  const before = { backend: backend.saw().length, front: front.saw().length }
  const heard = await attack(payload)
  if (refused && heard !== undefined) faults.push(`not refused: the client heard ${JSON.stringify(heard)}`)
  // Bytes that are left on a connection to the back end would reach the next requests.
  for (const victim of await ask(front.port, [`${mark}/victim-1`, `${mark}/victim-2`, `${mark}/victim-3`]))
    if (victim !== undefined) faults.push(victim)
  // An attack may reach the back end late. Requests of earlier attacks are left out here; a comparison of all requests at the end covers
  // them.
  const late = (line: string): boolean => Number(/\/s(\d+)/.exec(line)?.[1] ?? marks) < Number(mark.slice(2))
  const saw = (await seenUntil(backend, before.backend, `GET ${mark}/victim-3`)).filter(line => !late(line))
  const knew = front.saw().slice(before.front)
  faults.push(...unseen(saw, knew).map(line => `the back end saw ${line}, and the front only ${JSON.stringify(knew)}`))
  const through = saw.filter(line => !line.includes(`${mark}/victim`))
  if (refused && through.length > 0) faults.push(`forwarded: ${JSON.stringify(through)}`)
  if (hides && saw.some(line => line.includes('/evil'))) faults.push(`read as a request: ${JSON.stringify(saw)}`)
  return faults
}

/** The requests that the back end saw more often than the front did, each as often as the difference. */
export function unseen(backend: readonly string[], front: readonly string[]): string[] {
  const left = [...front]
  return backend.filter(line => {
    const at = left.indexOf(line)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
}

/** A back end writes its log after its answer, so this waits for the line of the last request. */
async function seenUntil(backend: Backend, from: number, last: string): Promise<readonly string[]> {
  const until = performance.now() + 5_000
  for (;;) {
    const saw = backend.saw().slice(from)
    if (saw.includes(last) || performance.now() > until) return saw
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}
