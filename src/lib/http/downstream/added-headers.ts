import { validateHeaderName, validateHeaderValue } from 'node:http'
import { isText } from '../wire/bytes.ts'

/** Headers that we add, as bytes to send. The sender's own headers of these names are dropped. */
export type Added = {
  readonly bytes: Buffer
  readonly names: readonly string[]
  /** A bit for each length of a name. Most other names are told apart by it. */
  readonly lengths: number
}

// Callers forward many requests with the same object; its bytes are made once.
const known = new WeakMap<object, Added>()

export function added(headers: Readonly<Record<string, string>> | undefined): Added | undefined {
  if (headers === undefined) return undefined
  const found = known.get(headers)
  if (found !== undefined) return found
  let text = ''
  let lengths = 0
  const names: string[] = []
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined) continue
    validateHeaderName(name)
    validateHeaderValue(name, value)
    text += `${name}: ${value}\r\n`
    names.push(name.toLowerCase())
    lengths |= 1 << (name.length & 31)
  }
  const made = { bytes: Buffer.from(text, 'latin1'), names, lengths }
  known.set(headers, made)
  return made
}

export function isAdded({ names, lengths }: Added, bytes: Buffer, from: number, to: number): boolean {
  return (lengths & (1 << ((to - from) & 31))) !== 0 && names.some(name => isText(bytes, from, to, name))
}
