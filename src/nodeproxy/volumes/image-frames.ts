/**
 * The bytes of an image on its way: eight characters that name the format, then frames. A frame is its kind (1 byte) and two numbers (8 bytes
 * each); a frame of data and a failure are followed by bytes.
 */
export const FORMAT = Buffer.from('SHADOWI2')
export const HEADER = 17

export const KIND = {
  /** A pass over the image begins: its size, and the number of the pass. */
  pass: 1,
  /** A block of the image: its offset and its length; its bytes follow. */
  data: 2,
  /** The image has no data there: an offset and a length. */
  zeros: 3,
  /** Nothing to tell: the sender is alive. */
  beat: 4,
  /** The app is put to sleep now; the last pass follows. */
  stopping: 5,
  /** The image is whole. The checksum of all its blocks follows. */
  end: 6,
  /** The sender has failed: a problem document of this length follows. */
  failure: 7,
} as const

export function frame(kind: number, first = 0, second = 0, bytes: Buffer = NONE): Buffer {
  const whole = Buffer.allocUnsafe(HEADER + bytes.length)
  whole.writeUInt8(kind, 0)
  whole.writeBigUInt64BE(BigInt(first), 1)
  whole.writeBigUInt64BE(BigInt(second), 9)
  bytes.copy(whole, HEADER)
  return whole
}

export const readFrame = (header: Buffer) => ({
  kind: header.readUInt8(0),
  first: Number(header.readBigUInt64BE(1)),
  second: Number(header.readBigUInt64BE(9)),
})

const NONE = Buffer.alloc(0)
