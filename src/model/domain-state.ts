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
  /** What became of the order of its certificate by ACME; null: none was ordered. */
  readonly order: CertificateOrder | null
}

/** A zone of the name servers of the fronts, as it is seen from outside. */
export type ZoneState = {
  readonly zone: string
  /** The fronts that are name servers, as the zone above has to name them. */
  readonly nameServers: readonly { readonly name: string; readonly addresses: readonly string[] }[]
  /** The name servers that a resolver finds. */
  readonly found: readonly string[]
  /** Why it finds none. */
  readonly fault: string | null
}

/** The order of a certificate by ACME. */
export type CertificateOrder = {
  /** The hostname, or the wildcard that covers it. */
  readonly name: string
  /** Until when the certificate is valid that there is. */
  readonly until: string | null
  /** Why the last order failed. */
  readonly problem: string | null
  /** When it is tried again. */
  readonly nextAt: string | null
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
