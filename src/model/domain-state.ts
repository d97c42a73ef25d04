/** Who answers at the address of a hostname. */
export const FRONT_ANSWERS = ['front', 'other', 'nobody'] as const
export type FrontAnswer = (typeof FRONT_ANSWERS)[number]

/** What was found out about a hostname. */
export type DomainState = {
  readonly hostname: string
  readonly isLocal: boolean
  readonly addresses: readonly string[]
  /** Why there is no address. */
  readonly fault: string | null
  readonly front: FrontAnswer | null
  readonly certificate: ShownCertificate | null
}

/** The certificate that a server shows for a hostname. */
export type ShownCertificate = {
  readonly names: readonly string[]
  readonly issuer: string
  readonly until: string
  /** Why browsers do not take it; null: they do. */
  readonly fault: string | null
}

/** Names that no name server knows: RFC 6761 and RFC 2606. */
export const isLocalName = (hostname: string): boolean => /(^|\.)(localhost|test|example|invalid|local)$/.test(hostname)
