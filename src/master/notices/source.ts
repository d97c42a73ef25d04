import type { Occurrence } from '../../model/notice.ts'

/**
 * Something that is wrong now. It is told when it begins, and again when its mark is another one: the mark of a crash has the moment of the crash.
 * `at` undefined: nobody knows since when.
 */
export type Condition = Omit<Occurrence, 'at'> & { readonly key: string; readonly at: string | undefined }

export type Seen = {
  readonly conditions: readonly Condition[]
  /** What happened and does not last. */
  readonly happened?: readonly Occurrence[] | undefined
  /** Whether this look says nothing about the condition with this key: it stays as it is. */
  readonly isUnknown?: ((key: string) => boolean) | undefined
}

/** Where a master sees what is wrong. Keys of conditions begin with the name of the source and a space. */
export type Source = {
  readonly name: string
  readonly everyMs: number
  /** `open`: the marks of conditions that were told, by their keys. Undefined: nothing can be said yet. */
  look(open: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Seen | undefined>
}
