let second = -1
let text = ''
let line = Buffer.alloc(0)

/** The current time as the value of a `Date` header (RFC 9110, 5.6.7 and 6.6.1). The text is made once a second. */
export function httpDate(): string {
  const now = Math.floor(Date.now() / 1_000)
  if (now !== second) {
    second = now
    text = new Date(now * 1_000).toUTCString()
    line = Buffer.from(`Date: ${text}\r\n`, 'latin1')
  }
  return text
}

/** The `Date` header as a whole line of a head. */
export function dateLine(): Buffer {
  httpDate()
  return line
}
