/** The JSON objects of a stream, one a line. A line that is none, such as one that was cut, is left out. */
export async function* jsonLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<object> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const value = objectOf(line)
      if (value !== undefined) yield value
    }
  }
}

function objectOf(line: string): object | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined // see `jsonLines`
  }
}
