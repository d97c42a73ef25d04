/** The languages of source folders that are known. */
export const LANGUAGES = ['node', 'python', 'go', 'php', 'static'] as const
export type Language = (typeof LANGUAGES)[number]

/** How a source folder is run. */
export type Recipe = {
  readonly language: Language
  /** What was found, and where: for people. */
  readonly why: string
  /** Image that it is run on. */
  readonly base: string
  /** What runs it, in /srv; a text needs a shell. */
  readonly command: string
  /** Lines of a Dockerfile after FROM that hold for every form. */
  readonly prepare?: readonly string[] | undefined
  /** The files that name the dependencies, and the lines that install them in `at`; undefined if there are none. */
  readonly dependencies?:
    | { readonly files: readonly string[]; readonly install: string; readonly at: string }
    | undefined
  /** A name in the source folder that leads to what was installed. */
  readonly link?: { readonly name: string; readonly to: string } | undefined
  /** Set if the folder has to be built: then it is part of the image, and not mounted. Lines that build it in /srv. */
  readonly build?: { readonly why: string; readonly lines: readonly string[] } | undefined
  /** Set if the result of the build is run on another image than the one that builds it. */
  readonly result?: { readonly base: string; readonly lines: readonly string[] } | undefined
  /** What is found only at second sight, and may surprise. */
  readonly notes: readonly string[]
}

/** The usual base image of each language, and the command that a folder gets if nothing better is known. `[build] base` replaces the image. */
export const BASES: Readonly<Record<Language, string>> = {
  node: 'node:24-slim',
  python: 'python:3.13-slim',
  go: 'golang:1.25',
  php: 'php:8.4-apache',
  static: 'caddy:2-alpine',
}
