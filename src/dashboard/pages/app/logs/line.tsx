import { Component } from 'preact'
import { sayAbsolute } from '../../../format.ts'
import { parseAnsi } from './ansi.ts'
import type { Block, KeptLine } from './log-buffer.ts'
import { markText } from './marks.ts'

const clock = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
})

/** `found`: what is marked. It changes only with the whole log. */
type BlockProps = { readonly block: Block; readonly found: RegExp | undefined }

/** Some lines of a log. A block that has not changed is not drawn again. */
export class LogBlock extends Component<BlockProps> {
  override shouldComponentUpdate({ block }: BlockProps): boolean {
    return block !== this.props.block
  }

  override render({ block, found }: BlockProps) {
    return (
      <div class="log-block">
        {block.lines.map(line => (
          <Line key={line.id} line={line} found={found} />
        ))}
      </div>
    )
  }
}

const MARKS = { stdout: '', stderr: 'err', shadow: '#' } as const

type LineProps = { readonly line: KeptLine; readonly found: RegExp | undefined }

function Line({ line: { at, stream, line, instance }, found }: LineProps) {
  const ms = Date.parse(at)
  return (
    <div class={`log-line ${stream}`}>
      <time dateTime={at} title={sayAbsolute(ms)}>
        {clock.format(ms)}
      </time>
      <span class="log-mark">{MARKS[stream]}</span>
      <span class="log-text">
        {instance !== undefined && <span class="log-instance">{instance} </span>}
        {markText(parseAnsi(line), found).map(({ text, classes, isMarked }, index) =>
          isMarked ? (
            <mark key={index} class={classes}>
              {text}
            </mark>
          ) : classes === '' ? (
            text
          ) : (
            <span key={index} class={classes}>
              {text}
            </span>
          ),
        )}
      </span>
    </div>
  )
}
