import type { ComponentType } from 'preact'
import { useEffect } from 'preact/hooks'
import { sessionEnded } from './api.ts'
import { Empty } from './components/empty.tsx'
import { Link } from './components/link.tsx'
import { Palette } from './components/palette.tsx'
import { Shell } from './components/shell.tsx'
import { Toasts } from './components/toasts.tsx'
import type { PageProps } from './page-props.ts'
import { AccessPage } from './pages/access.tsx'
import { AppPage } from './pages/app.tsx'
import { AppsPage } from './pages/apps.tsx'
import { NewPage } from './pages/new.tsx'
import { NodesPage } from './pages/nodes.tsx'
import { SignInPage } from './pages/sign-in.tsx'
import { UsagePage } from './pages/usage.tsx'
import { matchPath, usePlace } from './router.ts'
import { readSession, session } from './session.ts'
import { useStore } from './store.ts'

/** Each page by the shape of its path. */
const PAGES: Readonly<Record<string, ComponentType<PageProps>>> = {
  '/': AppsPage,
  '/new': NewPage,
  '/nodes': NodesPage,
  '/usage': UsagePage,
  '/access': AccessPage,
  '/apps/:app': AppPage,
  '/apps/:app/:tab': AppPage,
}

export function Dashboard() {
  const who = useStore(session)
  const ended = useStore(sessionEnded)
  const { path } = usePlace()
  useEffect(() => void readSession(), [])
  if (who === undefined) return null
  if (who === null || ended !== undefined) return <SignInPage why={ended} />
  return (
    <Shell session={who}>
      <Page path={path} />
      <Palette />
      <Toasts />
    </Shell>
  )
}

function Page({ path }: { path: string }) {
  for (const [pattern, Component] of Object.entries(PAGES)) {
    const params = matchPath(pattern, path)
    if (params !== undefined) return <Component key={path} params={params} />
  }
  return (
    <Empty title="There is no such page">
      <Link to="/">All apps</Link>
    </Empty>
  )
}
