import { useState } from 'preact/hooks'

/** Text of several lines that can be copied, such as a file. */
export function CopiedText({ label, text }: { label: string; text: string }) {
  const [isCopied, setCopied] = useState(false)
  const copy = (): void => {
    void navigator.clipboard?.writeText(text).then(() => {
      setCopied(true)
      setTimeout(() => setCopied(false), 1_500)
    })
  }
  return (
    <figure class="copied-text">
      <figcaption>
        <code>{label}</code>
        {navigator.clipboard && (
          <button type="button" class="quiet" onClick={copy} aria-label={`Copy ${label}`}>
            {isCopied ? 'Copied' : 'Copy'}
          </button>
        )}
      </figcaption>
      <pre>{text}</pre>
    </figure>
  )
}
