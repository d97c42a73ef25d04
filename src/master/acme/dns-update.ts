import { randomInt } from 'node:crypto'
import type { Clock } from '../../lib/clock.ts'
import { askByTcp, type DnsAddress } from '../../lib/dns/tcp.ts'
import { FUDGE_SECONDS, isSignedBy, signMessage, type TsigKey, tsigOf } from '../../lib/dns/tsig.ts'
import {
  CLASS,
  type DecodedDnsMessage,
  type DnsMessage,
  type DnsRecord,
  decodeMessage,
  encodeMessage,
  encodeText,
  OPCODE,
  RCODE,
  TYPE,
} from '../../lib/dns/wire-format.ts'
import { OrderError } from './authority.ts'
import type { TxtRecords } from './dns-hook.ts'
import { refusalOf } from './dns-refusal.ts'

export type DnsUpdateOptions = {
  /** The primary server of the zone. */
  readonly server: DnsAddress
  readonly key: TsigKey
  /** undefined: the server is asked for the zone of each name. */
  readonly zone: string | undefined
  readonly clock: Clock
}

const WITHIN_MS = 15_000
const TTL_SECONDS = 60
const EMPTY = { isResponse: false, isAuthoritative: false, rcode: 0, answers: [], authority: [], additional: [] }

/** Sets and clears TXT records by dynamic updates (RFC 2136) that are signed by TSIG (RFC 8945). */
export function dnsUpdates({ server, key, zone, clock }: DnsUpdateOptions): TxtRecords {
  const place = `${server.host}:${server.port}`

  /** Asks the server. Only an answer that the key has signed may say that something is so. */
  const ask = async (fields: Pick<DnsMessage, 'opcode' | 'questions'> & Partial<DnsMessage>) => {
    const message = { ...EMPTY, id: randomInt(0x10000), ...fields }
    const seconds = (): number => Math.floor(clock.wall() / 1_000)
    const { signed, mac } = signMessage(encodeMessage(message), key, seconds())
    const bytes = await askByTcp(signed, server, { withinMs: WITHIN_MS, clock })
    const answer = decodeMessage(bytes)
    const tsig = tsigOf(answer)
    if (!answer.isResponse || answer.id !== message.id || answer.opcode !== message.opcode)
      throw new Error('it answered another question')
    const why = refusalOf(answer, tsig, { key, zone: fields.questions[0]?.name ?? '', now: clock.wall() })
    if (why !== undefined) throw new Error(why)
    if (tsig === undefined || !isSignedBy(bytes, answer, key, mac))
      throw new Error(
        `its answer is not signed by the key ${key.name}: SHADOW_DNS_UPDATE has to lead to the server itself, without a proxy`,
      )
    if (Math.abs(tsig.signedAt - seconds()) > FUDGE_SECONDS)
      throw new Error(
        `its answer was signed more than ${FUDGE_SECONDS} seconds before or after now: set both clocks by NTP`,
      )
    return answer
  }

  /** The zone that has the name: the nearest one of its parents that the server is authoritative for. */
  const zoneOf = async (record: string): Promise<string> => {
    const labels = record.split('.')
    for (let at = 0; at < labels.length; at += 1) {
      const name = labels.slice(at).join('.')
      const question = { name, type: TYPE.SOA, class: CLASS.IN }
      const found = zoneIn(await ask({ opcode: OPCODE.QUERY, questions: [question] }), name)
      if (found !== undefined) return found
    }
    throw new Error(
      `it has no zone for it: set SHADOW_DNS_UPDATE to the primary server of the zone, or SHADOW_DNS_UPDATE_ZONE`,
    )
  }

  const change = async (verb: string, record: string, update: Omit<DnsRecord, 'name'>): Promise<void> => {
    try {
      const name = zone ?? (await zoneOf(record))
      const questions = [{ name, type: TYPE.SOA, class: CLASS.IN }]
      await ask({ opcode: OPCODE.UPDATE, questions, authority: [{ name: record, ...update }] })
    } catch (cause) {
      throw new OrderError(`the DNS server ${place} could not ${verb} the TXT record ${record}: ${whyOf(cause)}`, {
        cause,
      })
    }
  }

  return {
    set: (record, value) =>
      change('set', record, { type: TYPE.TXT, class: CLASS.IN, ttl: TTL_SECONDS, data: encodeText(value) }),
    // The class NONE removes this one record of the name, and succeeds if there is none.
    clear: (record, value) =>
      change('clear', record, { type: TYPE.TXT, class: CLASS.NONE, ttl: 0, data: encodeText(value) }),
  }
}

/** The zone that an answer for the SOA record of `name` is about; undefined if it is about another name, such as the target of a CNAME. */
function zoneIn({ isAuthoritative, rcode, answers, authority }: DecodedDnsMessage, name: string): string | undefined {
  const isAbove = (one: DnsRecord): boolean => name === one.name || name.endsWith(`.${one.name}`)
  const cut = authority.find(one => one.type === TYPE.NS && isAbove(one))
  if (!isAuthoritative && rcode === RCODE.NOERROR && cut !== undefined)
    throw new Error(`the zone ${cut.name} is at other servers: set SHADOW_DNS_UPDATE to its primary server`)
  if (!isAuthoritative) return undefined
  return [...answers, ...authority].find(one => one.type === TYPE.SOA && isAbove(one))?.name
}

/** Of several addresses that all refused, each has an error of its own, and the whole has no message. */
const whyOf = (cause: unknown): string =>
  (cause as Error).message || ((cause as NodeJS.ErrnoException).code ?? (cause as Error).name)
