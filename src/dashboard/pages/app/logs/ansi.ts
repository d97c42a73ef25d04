import { escapeControls } from '../../../../lib/control-characters.ts'

/** A piece of a line with one look. `classes` name it in `styles/logs.css`; they never contain text of the app. */
export type Span = { readonly text: string; readonly classes: string }

type Look = {
  fg: number | undefined
  bg: number | undefined
  bold: boolean
  dim: boolean
  italic: boolean
  underline: boolean
  inverse: boolean
}
const PLAIN: Look = {
  fg: undefined,
  bg: undefined,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  inverse: false,
}

// Each of them also in its form of one character (C1), and cut off by the end of the line.
const SEQUENCE = new RegExp(
  [
    // CSI, with its parameters and its last character: colours, movements of the cursor.
    '(?:\\x1b\\[|\\x9b)([0-?]*)[ -/]*([@-~]?)',
    // OSC, DCS, SOS, PM and APC, with their texts: titles, links.
    '(?:\\x1b[\\]PX^_]|[\\x90\\x98\\x9d-\\x9f])[^\\x07\\x1b\\x9c]*(?:\\x07|\\x1b\\\\|\\x9c|$)?',
    '\\x1b[ -/]*[0-~]?',
  ].join('|'),
  'g',
)

/**
 * The spans of a line that a program wrote for a terminal. Colours and styles become classes; other escape sequences are left out;
 * all other control characters are shown in words, because they could hide or turn round what is beside them.
 */
export function parseAnsi(line: string): readonly Span[] {
  const spans: Span[] = []
  const look: Look = { ...PLAIN }
  const add = (text: string): void => {
    if (text !== '') spans.push({ text: escapeControls(text), classes: classesOf(look) })
  }
  let from = 0
  for (const match of line.matchAll(SEQUENCE)) {
    add(line.slice(from, match.index))
    from = match.index + match[0].length
    if (match[2] === 'm') applyGraphics(look, match[1] ?? '')
  }
  add(line.slice(from).replace(/\r$/, ''))
  return spans
}

/** The text of a line alone. */
export const plainText = (line: string): string =>
  parseAnsi(line)
    .map(({ text }) => text)
    .join('')

const classesOf = ({ fg, bg, bold, dim, italic, underline, inverse }: Look): string =>
  [
    fg !== undefined && `fg-${fg}`,
    bg !== undefined && `bg-${bg}`,
    bold && 'bold',
    dim && 'dim',
    italic && 'italic',
    underline && 'underline',
    inverse && 'inverse',
  ]
    .filter(Boolean)
    .join(' ')

function applyGraphics(look: Look, parameters: string): void {
  // A private sequence, such as `ESC [ > 4 m`, is no style.
  if (/[<=>?]/.test(parameters)) return
  const codes = parameters.split(/[;:]/).map(Number)
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at] ?? 0
    if (code === 38 || code === 48) {
      const [colour, used] = extendedColour(codes.slice(at + 1))
      look[code === 38 ? 'fg' : 'bg'] = colour
      at += used
    } else applyCode(look, code)
  }
}

function applyCode(look: Look, code: number): void {
  if (code === 0) Object.assign(look, PLAIN)
  else if (code === 1) look.bold = true
  else if (code === 2) look.dim = true
  else if (code === 3) look.italic = true
  else if (code === 4 || code === 21) look.underline = true
  else if (code === 7) look.inverse = true
  else if (code === 22) look.bold = look.dim = false
  else if (code === 23) look.italic = false
  else if (code === 24) look.underline = false
  else if (code === 27) look.inverse = false
  else if (code >= 30 && code <= 37) look.fg = code - 30
  else if (code === 39) look.fg = undefined
  else if (code >= 40 && code <= 47) look.bg = code - 40
  else if (code === 49) look.bg = undefined
  else if (code >= 90 && code <= 97) look.fg = code - 90
  else if (code >= 100 && code <= 107) look.bg = code - 100
}

/** One of the eight colours for a colour of 256, or of 16 million: those of the theme can be read on its background. And how many codes it took. */
function extendedColour([kind, ...rest]: readonly number[]): readonly [number | undefined, number] {
  if (kind === 2) return [nearest(rest[0] ?? 0, rest[1] ?? 0, rest[2] ?? 0), 4]
  if (kind !== 5) return [undefined, 0]
  const index = rest[0] ?? 0
  if (index < 16) return [index % 8, 2]
  if (index >= 232) return [index < 244 ? 0 : 7, 2]
  const level = (step: number): number => (step === 0 ? 0 : 55 + 40 * step)
  const cube = index - 16
  return [nearest(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)), 2]
}

/** Each part of the colour counts if it is near to the strongest one. */
function nearest(red: number, green: number, blue: number): number {
  const most = Math.max(red, green, blue)
  if (most < 64) return 0
  const bit = (value: number, weight: number): number => (value > most * 0.6 ? weight : 0)
  return bit(red, 1) + bit(green, 2) + bit(blue, 4)
}
