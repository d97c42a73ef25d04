import type { Chance } from './chance.ts'
import type { Input } from './difference.ts'
import { CHUNKS, ENDS, HEADERS, LINE_ENDS, METHODS, ODD, STATUS_LINES, TARGETS, VERSIONS } from './phrases.ts'

/** One input: a few messages in a row, mostly well formed, then corrupted in a few places. */
export function input(chance: Chance): Input {
  const kind = chance.maybe(0.7) ? 'request' : 'response'
  let text = ''
  const heads: boolean[] = []
  for (let left = 1 + chance.below(3); left > 0; left -= 1) {
    text += kind === 'request' ? request(chance) : response(chance)
    heads.push(chance.maybe(0.2))
  }
  for (let left = chance.maybe(0.3) ? chance.below(4) : 0; left > 0; left -= 1) text = spoil(text, chance)
  return { bytes: Buffer.from(text, 'latin1'), kind, heads }
}

const usual = <T>(chance: Chance, common: T, among: readonly [T, ...T[]]): T =>
  chance.maybe(0.95) ? common : chance.one(among)

function request(chance: Chance): string {
  const method = usual(chance, chance.one(['GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']), METHODS)
  const target = usual(chance, '/path', TARGETS)
  const version = usual(chance, 'HTTP/1.1', VERSIONS)
  const start = usual(chance, `${method} ${target} ${version}`, [
    `${method}  ${target} ${version}`,
    `\r\n${method} ${target} ${version}`,
    `${method} ${target}`,
    `\n${method} ${target} ${version}`,
  ])
  return message(chance, start, chance.maybe(0.95) ? ['Host: h'] : [])
}

const response = (chance: Chance): string => message(chance, usual(chance, 'HTTP/1.1 200 OK', STATUS_LINES), [])

function message(chance: Chance, start: string, headers: string[]): string {
  let body = ''
  const framing = chance.below(4)
  if (framing === 1) {
    headers.push('Content-Length: 5')
    body = 'hello'
  } else if (framing === 2) {
    headers.push('Transfer-Encoding: chunked')
    for (let left = chance.below(3); left > 0; left -= 1) body += usual(chance, '3\r\nabc\r\n', CHUNKS)
    body += usual(chance, '0\r\n\r\n', ENDS)
  } else if (framing === 3 && chance.maybe(0.3)) body = chance.one(CHUNKS)
  for (let left = chance.below(4); left > 0; left -= 1) {
    const line = chance.maybe(0.75) ? 'Accept: */*' : chance.one(HEADERS)
    headers.splice(chance.below(headers.length + 1), 0, line)
  }
  const end = (): string => (chance.maybe(0.98) ? '\r\n' : chance.one(LINE_ENDS))
  return start + end() + headers.map(line => line + end()).join('') + end() + body
}

function spoil(text: string, chance: Chance): string {
  const at = chance.below(text.length + 1)
  switch (chance.below(6)) {
    case 0:
      return text.slice(0, at) + chance.one(ODD) + text.slice(at)
    case 1:
      return text.slice(0, at) + text.slice(at + 1 + chance.below(3))
    case 2:
      return text.slice(0, at) + chance.one(ODD) + text.slice(at + 1)
    case 3:
      return text.slice(0, at)
    case 4: {
      const to = Math.min(text.length, at + chance.below(40))
      return text.slice(0, to) + text.slice(at)
    }
    default:
      return text.slice(0, at) + String.fromCharCode(chance.below(256)) + text.slice(at + chance.below(2))
  }
}

/** Where to cut an input into pieces: nowhere, in a few places, or after every byte. */
export function cuts(length: number, chance: Chance): number[] {
  const how = chance.below(8)
  if (how === 0) return []
  if (how === 1 && length < 400) return Array.from({ length }, (_, at) => at)
  return Array.from({ length: chance.below(6) }, () => chance.below(length + 1))
}
