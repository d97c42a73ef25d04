/** One build. Paths are those of the context. */
export type BuildOrder = {
  readonly dockerfile: string
  readonly target?: string | undefined
  readonly args: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly memoryBytes: number
  readonly cpus: number
  readonly network: string
  /** Build by BuildKit, which takes no limit of memory and processors. */
  readonly isBuildkit: boolean
}

/** An image of ours on this machine: its name is one of the masters' store. `namedAt`: when it got a name last, in milliseconds. */
export type OwnImage = { readonly id: string; readonly name: string; readonly namedAt: number }

/** A repository of a registry, and the tag that the image gets there. */
export type PushTarget = { readonly name: string; readonly tag: string; readonly credentials: object }

/** Makes images on this machine. */
export interface ImageBuilder {
  /**
   * Builds an image from a context, which is a tar, and resolves with its id. What it prints comes line by line. When the signal aborts, the
   * build and its containers end, and the reason is thrown. Fails with `build-failed`, `disk-full`, `image-not-found` (the base),
   * `runtime-unreachable`.
   */
  build(
    context: AsyncIterable<Uint8Array>,
    order: BuildOrder,
    onLine: (line: string) => void,
    signal: AbortSignal,
  ): Promise<string>
  /** Takes the one image that is in an archive of `docker save`, and resolves with its id. Fails with `bad-input`, `disk-full`. */
  load(archive: AsyncIterable<Uint8Array>, onLine: (line: string) => void, signal: AbortSignal): Promise<string>
  /** The images of this machine with a name of the masters' store: built here, brought, or pulled. */
  own(): Promise<readonly OwnImage[]>
  /** Takes the name from an image, and removes it if nothing else needs it. An image that a container has stays. */
  untag(name: string): Promise<void>
  /**
   * Pushes an image of this machine to the registry, and leaves no name of it behind. Fails with `build-failed`; when the signal aborts, the
   * push ends.
   */
  push(image: string, to: PushTarget, signal: AbortSignal): Promise<void>
  /** Gives the image a name. */
  tag(id: string, name: string): Promise<void>
}
