// The data of records, by their types.

import { ipOf } from '../ip.ts'
import { DnsFormatError, type DnsRecord, encodeName, encodeText, TYPE, uint16, uint32 } from './wire-format.ts'

type RecordData = Pick<DnsRecord, 'type' | 'data'>

export type Soa = {
  /** The name of the first name server. */
  readonly server: string
  /** The address of the person in charge, with a dot for its @. */
  readonly mailbox: string
  readonly serial: number
  readonly refreshSeconds: number
  readonly retrySeconds: number
  readonly expireSeconds: number
  /** For how long resolvers may keep that something is not there (RFC 2308). */
  readonly negativeSeconds: number
}

/** An A or AAAA record. Fails with `DnsFormatError` if the text is no IP address. */
export function addressData(address: string): RecordData {
  const ip = ipOf(address)
  if (ip === undefined) throw new DnsFormatError(`"${address}" is no IP address`)
  if (!ip.includes(':')) return { type: TYPE.A, data: Buffer.from(ip.split('.').map(Number)) }
  const [before = '', after] = ip.split('::')
  const groups = (part: string | undefined): number[] =>
    part === undefined || part === '' ? [] : part.split(':').map(group => Number.parseInt(group, 16))
  const [first, last] = [groups(before), groups(after)]
  const zeros = Array<number>(8 - first.length - last.length).fill(0)
  return { type: TYPE.AAAA, data: Buffer.concat([...first, ...zeros, ...last].map(uint16)) }
}

export const nameServerData = (name: string): RecordData => ({ type: TYPE.NS, data: encodeName(name) })

export const textData = (text: string): RecordData => ({ type: TYPE.TXT, data: encodeText(text) })

export function soaData(soa: Soa): RecordData {
  const { server, mailbox, serial, refreshSeconds, retrySeconds, expireSeconds, negativeSeconds } = soa
  const numbers = [serial, refreshSeconds, retrySeconds, expireSeconds, negativeSeconds].map(uint32)
  return { type: TYPE.SOA, data: Buffer.concat([encodeName(server), encodeName(mailbox), ...numbers]) }
}

/** Which authority may issue certificates (RFC 8659). */
export function authorityData(property: 'issue' | 'issuewild', value: string): RecordData {
  return { type: TYPE.CAA, data: Buffer.concat([Buffer.of(0), encodeText(property), Buffer.from(value)]) }
}

/** The answer to a question for records of all types (RFC 8482, 4.2). */
export const anyData = (): RecordData => ({
  type: TYPE.HINFO,
  data: Buffer.concat([encodeText('RFC8482'), encodeText('')]),
})
