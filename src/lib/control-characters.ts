// C0 except tab and newline, DEL, C1 (U+009B is CSI for a terminal), the Unicode separators that some programs treat as line ends,
// and the marks that change the direction of text.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/**
 * The text with control characters escaped: `\x1b` for ESC, `\r`, `\u009b`. Newlines and tabs stay, and JSON stays JSON.
 * Without this, text from others could move the terminal's cursor, overwrite lines, or set the title.
 */
export const escapeControls = (text: string): string =>
  text.replace(/\r\n/g, '\n').replace(CONTROLS, character => {
    if (character === '\r') return '\\r'
    const code = character.charCodeAt(0)
    return code < 0x20 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`
  })

const hex = (code: number, digits: number): string => code.toString(16).padStart(digits, '0')
