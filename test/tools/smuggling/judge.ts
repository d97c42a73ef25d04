import type { Backend } from './backends.ts'
import type { Pair } from './pairs.ts'
import { ask } from './strike.ts'

/** `refused`: the client must get an error, and the back end nothing of it. `hides`: nobody may be asked for `…/evil`. */
type Struck = { readonly name: string; readonly refused?: boolean; readonly hides?: boolean }

/** Strikes; gives what the client heard, where that was no refusal. */
type Strike<P> = (payload: P) => Promise<string | undefined>

let marks = 0

/** What went wrong with each payload of a family, and with those who came after it. `payloads` makes them with targets that begin so. */
export async function faultsOf<P extends Struck>(
  pair: Pair<Backend>,
  payloads: (mark: string) => readonly P[],
  strike: Strike<P>,
): Promise<string[]> {
  const faults: string[] = []
  for (const at of payloads('').keys()) {
    const mark = `/s${++marks}`
    const payload = payloads(mark)[at] as P
    faults.push(...(await faultsOfOne(pair, mark, payload, strike)).map(fault => `${payload.name}: ${fault}`))
  }
  return faults
}

async function faultsOfOne<P extends Struck>(
  { front, backend }: Pair<Backend>,
  mark: string,
  payload: P,
  strike: Strike<P>,
): Promise<string[]> {
  const { refused, hides } = payload
  const faults: string[] = []
  const before = { backend: backend.saw().length, front: front.saw().length }
  const heard = await strike(payload)
  if (refused && heard !== undefined) faults.push(`not refused: the client heard ${JSON.stringify(heard)}`)
  // Whatever is left on a connection to the back end meets those who come next.
  for (const victim of await ask(front.port, [`${mark}/victim-1`, `${mark}/victim-2`, `${mark}/victim-3`]))
    if (victim !== undefined) faults.push(victim)
  // A strike may reach the back end after its own time; what is of an earlier one is judged by a look at all, at the end.
  const late = (line: string): boolean => Number(/\/s(\d+)/.exec(line)?.[1] ?? marks) < Number(mark.slice(2))
  const saw = (await seenUntil(backend, before.backend, `GET ${mark}/victim-3`)).filter(line => !late(line))
  const knew = front.saw().slice(before.front)
  faults.push(...unseen(saw, knew).map(line => `the back end saw ${line}, and the front only ${JSON.stringify(knew)}`))
  const through = saw.filter(line => !line.includes(`${mark}/victim`))
  if (refused && through.length > 0) faults.push(`forwarded: ${JSON.stringify(through)}`)
  if (hides && saw.some(line => line.includes('/evil'))) faults.push(`read as a request: ${JSON.stringify(saw)}`)
  return faults
}

/** What the back end saw that the front did not, each as often as it was seen more. */
export function unseen(backend: readonly string[], front: readonly string[]): string[] {
  const left = [...front]
  return backend.filter(line => {
    const at = left.indexOf(line)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
}

/** A back end's log is written after its answer: so the last request's line is waited for. */
async function seenUntil(backend: Backend, from: number, last: string): Promise<readonly string[]> {
  const until = performance.now() + 5_000
  for (;;) {
    const saw = backend.saw().slice(from)
    if (saw.includes(last) || performance.now() > until) return saw
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}
