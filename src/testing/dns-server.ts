import type { Socket } from 'node:net'
import { signMessage, type TsigKey, tsigOf } from '../lib/dns/tsig.ts'
import {
  type DecodedDnsMessage,
  type DnsMessage,
  decodeMessage,
  encodeMessage,
  framed,
} from '../lib/dns/wire-format.ts'
import { rawApp } from './wire.ts'

/** Bytes to send as they are; or parts of a message, which is signed unless `signedBy` is null. */
export type DnsAnswer =
  | Buffer
  | (Partial<DnsMessage> & {
      readonly signedBy?: TsigKey | null
      readonly signedAt?: number
      readonly tsigError?: number
      readonly other?: Buffer
    })

/** A DNS server over TCP that says what a test wants. undefined: it says nothing. */
export function dnsServer(key: TsigKey, answerOf: (asked: DecodedDnsMessage) => DnsAnswer | undefined) {
  const answered = (socket: Socket, bytes: Buffer): void => {
    const asked = decodeMessage(bytes)
    const answer = answerOf(asked)
    if (answer === undefined) return
    if (Buffer.isBuffer(answer)) return void socket.end(answer)
    const tsig = tsigOf(asked)
    const { signedBy = key, signedAt = tsig?.signedAt ?? 0, tsigError = 0, other = Buffer.alloc(0), ...fields } = answer
    const message = encodeMessage({ ...asked, isResponse: true, answers: [], authority: [], additional: [], ...fields })
    if (signedBy === null) return void socket.end(framed(message))
    const requestMac = tsig?.mac ?? Buffer.alloc(0)
    const { signed } = signMessage(message, signedBy, signedAt, { requestMac, error: tsigError, other })
    socket.end(framed(signed))
  }
  return rawApp(socket => {
    let got = Buffer.alloc(0)
    socket.on('data', more => {
      got = Buffer.concat([got, more])
      if (got.length >= 2 && got.length >= 2 + got.readUInt16BE()) answered(socket, got.subarray(2))
    })
  })
}
