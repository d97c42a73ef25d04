import { SPACE, TAB } from './bytes.ts'

/** Start and end of each element of a list (RFC 9110, 5.6.1). */
export function* tokens(bytes: Uint8Array, from: number, to: number): Generator<[number, number]> {
  let at = from
  while (at < to) {
    while (at < to && (bytes[at] === SPACE || bytes[at] === TAB || bytes[at] === 0x2c)) at += 1
    const start = at
    while (at < to && bytes[at] !== 0x2c) at += 1
    let end = at
    while (end > start && (bytes[end - 1] === SPACE || bytes[end - 1] === TAB)) end -= 1
    if (end > start) yield [start, end]
  }
}
