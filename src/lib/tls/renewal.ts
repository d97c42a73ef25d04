import { X509Certificate } from 'node:crypto'
import { type Clock, timestamp } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Credential, Credentials } from './credentials.ts'

/** The part of its life after which a certificate is renewed, and by how much that varies: members that joined together renew apart. */
const RENEWED_AT = 2 / 3
const JITTER = 1 / 20
/** A renewal that failed is tried again after a minute, or sooner where the certificate's life is short. */
const RETRY_MS = 60_000
const RETRY_AT_LEAST_MS = 1_000
const RETRY_PART_OF_LIFE = 1 / 20
/** The wall clock may be set at any time, so it is looked at as often as this. */
const LOOK_AT_LEAST_EVERY_MS = 3_600_000

type Options = {
  readonly credentials: Credentials
  /** Gets the next credential, and keeps it where the next start finds it. */
  readonly renew: () => Promise<Credential>
  readonly clock: Clock
  readonly log: Log
  /** From 0 up to 1. */
  readonly random?: () => number
}

/** Renews a credential at about two thirds of its certificate's life, until it is disposed. A renewal that fails is tried again. */
export function keepRenewed({ credentials, renew, clock, log, random = Math.random }: Options): Disposable {
  let next: Disposable | undefined
  let isOver = false
  let hasFailed = false
  const wait = (ms: number): void => {
    if (!isOver) next = clock.after(Math.max(1, Math.min(ms, LOOK_AT_LEAST_EVERY_MS)), look)
  }
  let dueAt = dueOf(credentials.current, random())
  const look = (): void => {
    const left = dueAt - clock.wall()
    if (left > 0) wait(left)
    else
      void renewNow().finally(() => wait(hasFailed ? retryAfter(credentials.current, random()) : dueAt - clock.wall()))
  }
  const renewNow = async (): Promise<void> => {
    try {
      const renewed = await renew()
      if (isOver) return
      credentials.replace(renewed)
      dueAt = dueOf(renewed, random())
      hasFailed = false
      log.info('certificate renewed', { expires: new Date(validityOf(renewed).until).toISOString() })
    } catch (cause) {
      const { until } = validityOf(credentials.current)
      const said = { expires: new Date(until).toISOString(), now: timestamp(clock), cause }
      // Told once while there is time, and each time when it is too late.
      if (until <= clock.wall()) log.error('certificate expired and not renewed', said)
      else if (!hasFailed) log.warn('certificate not renewed; it is tried again', said)
      hasFailed = true
    }
  }
  look()
  return {
    [Symbol.dispose]() {
      isOver = true
      next?.[Symbol.dispose]()
    },
  }
}

function dueOf(credential: Credential, random: number): number {
  const { from, until } = validityOf(credential)
  return from + (until - from) * (RENEWED_AT + JITTER * (2 * random - 1))
}

function retryAfter(credential: Credential, random: number): number {
  const { from, until } = validityOf(credential)
  return Math.max(RETRY_AT_LEAST_MS, Math.min(RETRY_MS, (until - from) * RETRY_PART_OF_LIFE) * (0.5 + random))
}

function validityOf({ certificate = '' }: Credential): { from: number; until: number } {
  const { validFrom, validTo } = new X509Certificate(certificate)
  return { from: Date.parse(validFrom), until: Date.parse(validTo) }
}
