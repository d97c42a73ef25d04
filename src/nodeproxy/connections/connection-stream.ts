import { Duplex } from 'node:stream'
import type { AppConnection } from './connections.ts'

/** A connection to an app as a stream, for a front in the same process. Its two sides end one by one; destroying it ends both. */
export function connectionStream(connection: AppConnection): Duplex {
  const { terminal, ended } = connection
  const output = terminal.output[Symbol.asyncIterator]()
  const stop = (): void => void stream.destroy(ended.reason as Error)
  const stream = new Duplex({
    allowHalfOpen: true,
    read() {
      output.next().then(
        ({ done, value }) => this.push(done === true ? null : Buffer.from(value.bytes)),
        error => this.destroy(error),
      )
    },
    write(bytes, _encoding, done) {
      terminal.write(bytes).then(() => done(), done)
    },
    // It has finished when both sides of the app's connection have ended: before, bytes may be on their way.
    final(done) {
      terminal.endInput()
      terminal.exitCode().then(() => done(), done)
    },
    destroy(error, done) {
      ended.removeEventListener('abort', stop)
      connection[Symbol.asyncDispose]().then(() => done(error), done)
    },
  })
  if (ended.aborted) stop()
  else ended.addEventListener('abort', stop, { once: true })
  return stream
}
