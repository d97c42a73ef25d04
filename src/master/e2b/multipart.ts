import { fault } from './faults.ts'

const MOST_HEAD_BYTES = 16_384
const CRLF = '\r\n'

/** A file of a form. Its bytes have to be read before the next file is. */
export type FormFile = { readonly name: string; readonly bytes: AsyncIterable<Buffer> }

/** The files of a body of the type `multipart/form-data` (RFC 7578), in their order, as they come. Fields without a file name are left out. */
export async function* formFiles(contentType: string, body: AsyncIterable<Buffer>): AsyncGenerator<FormFile> {
  const [, quoted, plain] = /boundary=(?:"([^"]{1,200})"|([^;\s]{1,200}))/i.exec(contentType) ?? []
  const boundary = quoted ?? plain
  if (boundary === undefined) throw fault('invalid_argument', 'the form has no boundary')
  // The first boundary has no line break before it.
  const source = new Source(body, Buffer.from(CRLF))
  const delimiter = Buffer.from(`${CRLF}--${boundary}`)
  for await (const _ of source.until(delimiter)) {
    // what stands before the first part means nothing
  }
  for (;;) {
    const end = await source.line()
    if (end.startsWith('--')) return
    let head = ''
    for (let line = await source.line(); line !== ''; line = await source.line()) head += `${line}\n`
    const name = fileNameIn(head)
    const bytes = source.until(delimiter)
    if (name !== undefined) yield { name, bytes }
    for await (const _ of bytes) {
      // a part that is no file, or that nobody has read
    }
  }
}

/** As browsers and E2B's clients write it: https://html.spec.whatwg.org/#multipart-form-data. */
function fileNameIn(head: string): string | undefined {
  const line = /^content-disposition:(.*)$/im.exec(head)?.[1] ?? ''
  const name = /;\s*filename="((?:[^"\\]|\\.)*)"/i.exec(line)?.[1] ?? /;\s*filename=([^;\s]+)/i.exec(line)?.[1]
  return name
    ?.replaceAll('%22', '"')
    .replaceAll('%0D', '\r')
    .replaceAll('%0A', '\n')
    .replace(/\\(["\\])/g, '$1')
}

/** Bytes that are read up to a delimiter. */
class Source {
  readonly #body: AsyncIterator<Buffer>
  #have: Buffer

  constructor(body: AsyncIterable<Buffer>, before: Buffer) {
    this.#body = body[Symbol.asyncIterator]()
    this.#have = before
  }

  /** The bytes up to the delimiter, which is taken too. Nothing, once it was reached. */
  async *until(delimiter: Buffer): AsyncGenerator<Buffer> {
    for (;;) {
      const at = this.#have.indexOf(delimiter)
      if (at !== -1) {
        const last = this.#have.subarray(0, at)
        this.#have = this.#have.subarray(at + delimiter.length)
        if (last.length > 0) yield last
        return
      }
      // The delimiter may have begun at the end of what is here.
      const sure = this.#have.length - delimiter.length + 1
      if (sure > 0) {
        const piece = this.#have.subarray(0, sure)
        this.#have = this.#have.subarray(sure)
        yield piece
      }
      await this.#more()
    }
  }

  async line(): Promise<string> {
    for (;;) {
      const at = this.#have.indexOf(CRLF)
      if (at !== -1) {
        const line = this.#have.subarray(0, at).toString()
        this.#have = this.#have.subarray(at + CRLF.length)
        return line
      }
      // The last boundary need not end with a line break.
      if (this.#have.length === 2 && this.#have.toString() === '--') return '--'
      if (this.#have.length > MOST_HEAD_BYTES) throw fault('invalid_argument', 'a head in the form is too long')
      await this.#more()
    }
  }

  async #more(): Promise<void> {
    const { done, value } = await this.#body.next()
    if (done === true) throw fault('invalid_argument', 'the form ends in the middle')
    this.#have = Buffer.concat([this.#have, value])
  }
}
