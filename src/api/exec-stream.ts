import { Duplex } from 'node:stream'
import type { ClientSession } from './exec-client.ts'

/** A connection by way of a node as a stream. Its two sides end one by one; destroying it ends both. */
export function sessionStream(session: ClientSession): Duplex {
  let onWanted: (() => void) | undefined
  let hasEnded = false
  let isOver = false
  const endOutput = (): void => {
    if (!hasEnded) stream.push(null)
    hasEnded = true
  }
  const stream = new Duplex({
    allowHalfOpen: true,
    read() {
      onWanted?.()
      onWanted = undefined
    },
    write(bytes: Buffer, _encoding, done) {
      if (isOver) done(new Error('the app has closed the connection'))
      else session.write(bytes).then(() => done(), done)
    },
    // It has finished when the node says that the app has it all. A stream whose sides have both ended destroys itself, and what is on its way with it.
    final(done) {
      session
        .endInput()
        .then(() => over)
        .then(() => done(), done)
    },
    destroy(error, done) {
      onWanted?.()
      session[Symbol.dispose]()
      done(error)
    },
  })
  const over = session
    .read({
      output: (_, bytes) => {
        if (stream.destroyed || stream.push(Buffer.from(bytes))) return undefined // the bytes lie in memory that is used again
        return new Promise<void>(resolve => {
          onWanted = resolve
        })
      },
      outputEnd: endOutput,
    })
    .then(() => {
      isOver = true
      endOutput()
    })
  over.catch(error => stream.destroy(error))
  return stream
}
