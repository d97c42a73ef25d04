import '@xterm/xterm/css/xterm.css'
import './styles/terminal-page.css'
import { render } from 'preact'
import { TerminalPage } from './terminal/page.tsx'
import { applyTheme } from './theme.ts'

applyTheme()
const [, , app = ''] = location.pathname.split('/')
const root = document.getElementById('root')
if (root !== null) render(<TerminalPage app={decodeURIComponent(app)} />, root)
