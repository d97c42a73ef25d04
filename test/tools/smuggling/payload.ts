/**
 * The bytes that a client sends, in latin1. Several pieces are sent one by one; with `waits`, each is sent after an answer to the earlier
 * ones, or after a while.
 * `refused`: the front must not forward any of it. `hides`: a body contains `…/evil`, so no back end may get a request for it.
 */
export type Payload = {
  readonly name: string
  readonly pieces: readonly string[]
  readonly waits?: true
  readonly refused?: true
  readonly hides?: true
}

/** Families of payloads. Every target begins with `at`, so that the requests of different payloads can be distinguished. */
export type Families = Readonly<Record<string, (at: string) => Payload[]>>

export const END = '\r\n\r\n'
export const TE = 'Transfer-Encoding: chunked'
export const METHODS = ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'PUT', 'PATCH', 'PROPFIND', 'TRACE']

export function evil(at: string): string {
  return `GET ${at}/evil HTTP/1.1\r\nHost: app\r\n\r\n`
}

export function after(at: string): string {
  return `GET ${at}/after HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n`
}

export function head(method: string, target: string, headers = ''): string {
  return `${method} ${target} HTTP/1.1\r\nHost: app\r\n${headers === '' ? '' : `${headers}\r\n`}\r\n`
}

export function post(at: string, headers: string, body: string): string {
  return head('POST', `${at}/1`, headers) + body
}

export function chunked(body: string): string {
  return `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
}

export function splitAt(text: string, from: number, bytes: number): string[] {
  return [text.slice(0, from), ...text.slice(from, from + bytes), text.slice(from + bytes)]
}

export function refused(name: string, ...pieces: string[]): Payload {
  return { name, pieces, refused: true }
}

export function maybe(name: string, ...pieces: string[]): Payload {
  return { name, pieces }
}

export function hides(name: string, ...pieces: string[]): Payload {
  return { name, pieces, hides: true }
}

export function late(name: string, ...pieces: string[]): Payload {
  return { name, pieces, hides: true, waits: true }
}

export function show(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}
