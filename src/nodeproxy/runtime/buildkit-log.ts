/** What BuildKit tells of a build: protobuf messages of its `StatusResponse`, each in one line of JSON. Fields that nobody needs are skipped. */
export type BuildkitStatus = {
  readonly steps: readonly Step[]
  readonly logs: readonly { readonly step: string; readonly text: string }[]
}
/** A step, as it is known by now; it comes again with each change. */
type Step = {
  readonly id: string
  readonly name: string
  readonly isCached: boolean
  readonly isBegun: boolean
  readonly error: string
}

/** Decodes one message. Fails for bytes that are no protobuf. @internal */
export function buildkitStatus(bytes: Buffer): BuildkitStatus {
  const steps: Step[] = []
  const logs: { step: string; text: string }[] = []
  for (const { number, value } of fieldsOf(bytes)) {
    if (typeof value === 'number') continue
    if (number === 1) steps.push(stepOf(value))
    if (number === 3) logs.push(logOf(value))
  }
  return { steps, logs }
}

function stepOf(bytes: Buffer): Step {
  const step = { id: '', name: '', isCached: false, isBegun: false, error: '' }
  for (const { number, value } of fieldsOf(bytes)) {
    if (number === 4) step.isCached = value === 1
    else if (number === 5) step.isBegun = true
    else if (typeof value === 'number') continue
    else if (number === 1) step.id = value.toString()
    else if (number === 3) step.name = value.toString()
    else if (number === 7) step.error = value.toString()
  }
  return step
}

function logOf(bytes: Buffer): { step: string; text: string } {
  let step = ''
  let text = ''
  for (const { number, value } of fieldsOf(bytes)) {
    if (typeof value === 'number') continue
    if (number === 1) step = value.toString()
    if (number === 4) text = value.toString()
  }
  return { step, text }
}

type Field = { readonly number: number; readonly value: Buffer | number }

/** The fields of a message: numbers, and what has a length; others are skipped. */
function* fieldsOf(bytes: Buffer): Generator<Field> {
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++]
      if (byte === undefined || factor > 2 ** 63) throw new Error('the message is cut short')
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const key = varint()
    const number = Math.floor(key / 8)
    const kind = key % 8
    if (kind === 0) yield { number, value: varint() }
    else if (kind === 1) at += 8
    else if (kind === 5) at += 4
    else if (kind === 2) {
      const length = varint()
      if (at + length > bytes.length) throw new Error('the message is cut short')
      yield { number, value: bytes.subarray(at, at + length) }
      at += length
    } else throw new Error(`the message has a field of kind ${kind}`)
  }
}

/** Makes lines of what BuildKit tells: each step once when it begins, with whether it was found in the cache, and what it prints. */
export function buildkitLines(onLine: (line: string) => void) {
  const said = new Set<string>()
  const rest = new Map<string, string>()
  return (bytes: Buffer): void => {
    const { steps, logs } = buildkitStatus(bytes)
    for (const { id, name, isCached, isBegun } of steps) {
      if (said.has(id) || name.startsWith('[internal]') || !/^\[/.test(name) || !(isBegun || isCached)) continue
      said.add(id)
      onLine(isCached ? `${name} (cached)` : name)
    }
    for (const { step, text } of logs) {
      const lines = ((rest.get(step) ?? '') + text).split('\n')
      rest.set(step, lines.pop() ?? '')
      for (const line of lines) onLine(line)
    }
  }
}
