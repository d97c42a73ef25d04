import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { sayToken } from '../../model/say-release.ts'
import { connection } from '../live.ts'
import { usePlace } from '../router.ts'
import { type Session, signOut } from '../session.ts'
import { useStore } from '../store.ts'
import { applyTheme, THEMES, theme } from '../theme.ts'
import { Icon } from './icon.tsx'
import { Link } from './link.tsx'
import { NAVIGATION } from './navigation.ts'
import { openPalette } from './palette.tsx'

const isHere = (to: string, path: string): boolean =>
  to === '/' ? path === '/' || path.startsWith('/apps') || path === '/new' : path.startsWith(to)

/** The frame of every page: navigation, connection, theme and who is signed in. */
export function Shell({ session, children }: { session: Session; children: ComponentChildren }) {
  const { path } = usePlace()
  const entries = NAVIGATION.filter(({ forAdmins }) => !forAdmins || session.role === 'admin')
  return (
    <div class="shell">
      <a class="skip" href="#main">
        Skip to the page
      </a>
      <header class="side">
        <Link to="/" class="brand" aria-label="Shadow: all apps">
          <Icon name="moon" /> <span>Shadow</span>
        </Link>
        <nav aria-label="Pages">
          {entries.map(({ to, text, icon }) => (
            <Link key={to} to={to} class="nav" aria-current={isHere(to, path) ? 'page' : undefined}>
              <Icon name={icon} />
              <span>{text}</span>
            </Link>
          ))}
        </nav>
        <div class="side-foot">
          <button type="button" class="nav search-button" onClick={openPalette}>
            <Icon name="search" />
            <span>Find</span>
            <kbd>Ctrl K</kbd>
          </button>
          <ThemeButton />
          <SignedIn session={session} />
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        <ConnectionBanner />
        {children}
      </main>
    </div>
  )
}

function ConnectionBanner() {
  const state = useStore(connection)
  return (
    <div class="banner-place" role="status">
      {state === 'lost' && (
        <div class="banner">
          The master does not answer. This is what was known last; the page connects again by itself.
        </div>
      )}
    </div>
  )
}

function ThemeButton() {
  const now = useStore(theme)
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length] ?? 'auto'
  return (
    <button type="button" class="nav" onClick={() => applyTheme(next)} aria-label={`Theme: ${now}; change to ${next}`}>
      <Icon name="theme" />
      <span>Theme: {now}</span>
    </button>
  )
}

function SignedIn({ session }: { session: Session }) {
  const [isLeaving, setLeaving] = useState(false)
  const leave = (): void => {
    setLeaving(true)
    void signOut().finally(() => setLeaving(false))
  }
  const name = sayToken(session.name)
  return (
    <button
      type="button"
      class="nav"
      onClick={leave}
      disabled={isLeaving}
      aria-label={`Sign out ${name} ${session.role}`}
    >
      <Icon name="leave" />
      <span class="who">
        {name} {name !== session.role && <span class="faint">{session.role}</span>}
      </span>
    </button>
  )
}
