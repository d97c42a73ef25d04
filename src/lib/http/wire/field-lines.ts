import { COLON, CR, LF, SPACE, TAB, TOKEN, VALUE } from './bytes.ts'
import { Field, fieldOf } from './fields.ts'
import { interpretField } from './framing-fields.ts'
import type { Head } from './head.ts'
import { type HeadLimits, MORE, WHOLE } from './parse-outcome.ts'

/** Parses the header lines up to the empty line (RFC 9112, 5). With `framed`, headers that frame a body are interpreted; in trailers they are not. */
export function fieldLines(
  head: Head,
  bytes: Buffer,
  base: number,
  end: number,
  limits: HeadLimits,
  framed: boolean,
): number {
  const { headBytes, headers } = limits
  let at = base + head.at
  for (;;) {
    head.at = at - base
    if (head.at > headBytes) return head.refuse(431, `the head is longer than ${headBytes} bytes`)
    if (at === end) return more(head, limits, end - base)
    if (bytes[at] === CR) {
      if (at + 1 === end) return more(head, limits, end - base)
      if (bytes[at + 1] !== LF) return head.refuse(400, 'a CR without LF')
      head.length = at + 2 - base
      return WHOLE
    }
    const name = at
    while (at < end && TOKEN[bytes[at] as number] === 1) at += 1
    const nameEnd = at
    if (bytes[at] !== COLON && head.isAnswer) {
      while (at < end && (bytes[at] === SPACE || bytes[at] === TAB)) at += 1
      if (at < end && at > nameEnd) head.hasSpacedNames = true
    }
    if (at === end) return more(head, limits, end - base)
    if (bytes[at] !== COLON || nameEnd === name)
      return refuseLine(head, 'a header line that is not a name and a colon at once', name, end)
    at += 1
    while (at < end && (bytes[at] === SPACE || bytes[at] === TAB)) at += 1
    const value = at
    while (at < end && VALUE[bytes[at] as number] === 1) at += 1
    if (at + 1 >= end && (at === end || bytes[at] === CR)) return more(head, limits, end - base)
    if (bytes[at] !== CR || bytes[at + 1] !== LF)
      return refuseLine(head, 'a byte in a header that no header has, or a line that does not end in CR LF', name, end)
    let valueEnd = at
    while (valueEnd > value && (bytes[valueEnd - 1] === SPACE || bytes[valueEnd - 1] === TAB)) valueEnd -= 1
    at += 2
    if (head.count === headers) return head.refuse(431, `more than ${headers} headers`)
    const field = fieldOf(bytes, name, nameEnd)
    head.add(name - base, nameEnd - base, value - base, valueEnd - base, field)
    if (field !== Field.other && framed) {
      const code = interpretField(head, field, bytes, value, valueEnd)
      if (code !== WHOLE) return code
    }
  }
}

const MOST_NAMED = 64

/** Refuses a line. For an answer the fault names the header, so that the app's owner can find it. */
function refuseLine(head: Head, fault: string, from: number, end: number): number {
  if (!head.isAnswer) return head.refuse(400, fault)
  if ((head.bytes[from] === SPACE || head.bytes[from] === TAB) && head.count > 0)
    return head.refuse(400, `a folded header: ${JSON.stringify(head.name(head.count - 1))}`)
  const line = head.bytes.toString('latin1', from, Math.min(end, from + MOST_NAMED))
  return head.refuse(400, `${fault}: ${JSON.stringify(/^[^\r\n:]*/.exec(line)?.[0] ?? '')}`)
}

function more(head: Head, { headBytes }: HeadLimits, seen: number): number {
  return seen > headBytes ? head.refuse(431, `the head is longer than ${headBytes} bytes`) : MORE
}
