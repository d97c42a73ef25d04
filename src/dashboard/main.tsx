import './styles/index.css'
import { render } from 'preact'
import { Dashboard } from './dashboard.tsx'
import { applyTheme } from './theme.ts'

applyTheme()
const root = document.getElementById('root')
if (root !== null) render(<Dashboard />, root)
