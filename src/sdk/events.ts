/** One server-sent event (WHATWG HTML, 9.2). */
export type SentEvent = { readonly id: string | undefined; readonly data: string }

/** Reads server-sent events from a body, until it ends. Comments and fields that are not used here are skipped. */
export async function* sentEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<SentEvent> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let rest = ''
  let id: string | undefined
  let data: string[] = []
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines.map(one => (one.endsWith('\r') ? one.slice(0, -1) : one))) {
        if (line === '') {
          if (data.length > 0) yield { id, data: data.join('\n') }
          data = []
        } else if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''))
        else if (line.startsWith('id:')) id = line.slice(3).trim()
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined) // a caller that stops early ends the connection
  }
}
