import type { Certificate } from '../lib/certificate.ts'

/** The task of a proxy: for these hostnames, forward what arrives at the ports `plain` and `tls` to `backend` (ip:port). */
export type Setup = Certificate & {
  readonly folder: string
  readonly backend: string
  readonly hostnames: readonly string[]
  readonly plain: number
  readonly tls: number
  /** Two hops: the core of the node; left out: that of the front. */
  readonly nodeCore?: number
}
