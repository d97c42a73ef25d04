/** A proxy under test in front of one back end. `saw` lists `METHOD target` of each request that the proxy received. */
export type Front = AsyncDisposable & {
  readonly port: number
  /** The port for HTTPS. */
  readonly tlsPort?: number | undefined
  /** true: the suite connects by HTTPS. */
  readonly secure?: boolean
  saw(): readonly string[]
}
