import { useState } from 'preact/hooks'

/** The command of the CLI that does the same, with a button that copies it. */
export function CommandLine({ command }: { command: string }) {
  const [isCopied, setCopied] = useState(false)
  const copy = (): void => {
    // Only secure contexts have a clipboard; elsewhere the text can be selected.
    void navigator.clipboard?.writeText(command).then(() => {
      setCopied(true)
      setTimeout(() => setCopied(false), 1_500)
    })
  }
  return (
    <div class="command">
      <code>{command}</code>
      {navigator.clipboard && (
        <button type="button" class="quiet" onClick={copy} aria-label={`Copy: ${command}`}>
          {isCopied ? 'Copied' : 'Copy'}
        </button>
      )}
    </div>
  )
}
