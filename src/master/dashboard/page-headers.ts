/** Pages of the dashboard load everything from the master itself, and no other page may show them in a frame. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
]

const COMMON = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  // Pages of apps, maybe at sibling hostnames, must not load what is served here.
  'cross-origin-resource-policy': 'same-origin',
}

/** The headers of a document. `inlineStyles`: the terminal's library makes style elements. */
export const documentHeaders = ({ inlineStyles = false } = {}): Readonly<Record<string, string>> => ({
  ...COMMON,
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-cache',
  'content-security-policy': [...POLICY, `style-src 'self'${inlineStyles ? " 'unsafe-inline'" : ''}`].join('; '),
  'permissions-policy': 'camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()',
  'x-robots-tag': 'noindex',
})

/** The headers of a file that documents load. The name of an asset has a hash of its content. */
export const fileHeaders = (type: string, isAsset: boolean): Readonly<Record<string, string>> => ({
  ...COMMON,
  'content-type': type,
  'cache-control': isAsset ? 'public, max-age=31536000, immutable' : 'no-cache',
})
