/** A fenced block of a page, and the reason why it is not run, if any. */
export type Block = {
  readonly language: string
  readonly text: string
  /** The number of its first line of text, from 1. */
  readonly line: number
  /** The reason of a `<!-- not run: … -->` right above it. */
  readonly notRun: string | undefined
}

type Link = { readonly target: string; readonly line: number }

const FENCE = /^```(\S*)$/
const NOT_RUN = /^<!-- not run: (.+) -->$/

/** The fenced blocks of a page, in order. */
export function blocksOf(page: string): readonly Block[] {
  const blocks: Block[] = []
  const lines = page.split('\n')
  for (let at = 0; at < lines.length; at++) {
    const language = FENCE.exec(lines[at] ?? '')?.[1]
    if (language === undefined) continue
    const end = lines.indexOf('```', at + 1)
    if (end < 0) throw new Error(`the block that begins in line ${at + 1} has no end`)
    blocks.push({
      language,
      text: lines.slice(at + 1, end).join('\n'),
      line: at + 2,
      notRun: NOT_RUN.exec(lines[at - 1] ?? '')?.[1],
    })
    at = end
  }
  return blocks
}

/** The anchors that the headings of a page have, as GitHub makes them. */
export function anchorsOf(page: string): ReadonlySet<string> {
  const counts = new Map<string, number>()
  const anchors = new Set<string>()
  for (const { text } of proseOf(page)) {
    const heading = /^#{1,6} (.+)$/.exec(text)?.[1]
    if (heading === undefined) continue
    const anchor = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-')
    const count = counts.get(anchor) ?? 0
    counts.set(anchor, count + 1)
    anchors.add(count === 0 ? anchor : `${anchor}-${count}`)
  }
  return anchors
}

/** The targets of all inline links of a page. */
export function linksOf(page: string): readonly Link[] {
  return proseOf(page).flatMap(({ text, line }) =>
    [...text.replace(/`[^`]*`/g, '').matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => ({ target, line })),
  )
}

/** The commands and names of a page that stand in code: inline, and in fenced blocks. */
export function codeOf(page: string): readonly string[] {
  const inline = proseOf(page).flatMap(({ text }) => [...text.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code))
  return [...inline, ...blocksOf(page).map(({ text }) => text)]
}

// Folders of the project; those of src/ are also written without `src/`.
const PATH = /(?<![\w./$-])(?:src|test|bench|contrib|docs|(lib|model|api|master|nodeproxy|proxy|cli))\/[\w.*/-]*/g

/** The paths of the project's files and folders that stand in the code of a page, relative to the project. */
export function pathsOf(page: string): readonly string[] {
  return codeOf(page).flatMap(code =>
    [...code.matchAll(PATH)].map(([path, inSource]) => `${inSource ? 'src/' : ''}${path.replace(/[./]+$/, '')}`),
  )
}

/** The lines that are in no fenced block. */
function proseOf(page: string): readonly { text: string; line: number }[] {
  let isFenced = false
  return page.split('\n').flatMap((text, index) => {
    const isFence = text.startsWith('```')
    if (isFence) isFenced = !isFenced
    return isFence || isFenced ? [] : [{ text, line: index + 1 }]
  })
}
