import type { Folder } from './folder.ts'
import { BASES, type Recipe } from './recipe.ts'

const VENV = [
  'ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1',
  'RUN python -m venv /opt/venv',
]
const FILES = ['app.py', 'main.py', 'server.py', 'wsgi.py']

/** A folder with requirements.txt, pyproject.toml, manage.py, or a script of a usual name. */
export function pythonRecipe(folder: Folder): Recipe | undefined {
  const requirements = folder.read('requirements.txt')
  const project = folder.read('pyproject.toml')
  const file = FILES.find(name => folder.has(name))
  const isDjango = folder.has('manage.py')
  if (requirements === undefined && project === undefined && !isDjango && file === undefined) return undefined
  const needs = `${requirements ?? ''}\n${project ?? ''}`
  const start = startOf(folder, needs, file)
  if (start === undefined) return undefined
  const base = { language: 'python', base: BASES.python, command: start.command, notes: start.notes } as const
  const from = requirements !== undefined ? 'requirements.txt' : project !== undefined ? 'pyproject.toml' : undefined
  const why = [from, start.why].filter(Boolean).join(', ')
  if (from === undefined) return { ...base, why, prepare: ['ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1'] }
  if (requirements !== undefined && !/^\s*(-r|-c|-e|--requirement|--editable|\.)/m.test(requirements))
    return {
      ...base,
      why,
      prepare: VENV,
      dependencies: {
        files: ['requirements.txt'],
        install: 'pip install --no-cache-dir -r requirements.txt',
        at: '/opt/srv',
      },
    }
  const lines =
    requirements === undefined
      ? ['COPY . .', 'RUN pip install --no-cache-dir .']
      : ['COPY . .', 'RUN pip install --no-cache-dir -r requirements.txt']
  const reason =
    requirements === undefined ? 'pyproject.toml is installed with its source' : 'requirements.txt names other files'
  return { ...base, why, prepare: VENV, build: { why: reason, lines } }
}

type Start = { readonly command: string; readonly why: string; readonly notes: readonly string[] }

function startOf(folder: Folder, needs: string, file: string | undefined): Start | undefined {
  const has = (name: string): boolean => new RegExp(`(^|["'\\s])${name}\\b`, 'im').test(needs)
  const bind = '0.0.0.0:$PORT'
  if (folder.has('manage.py')) {
    const project = folder.names().find(name => folder.has(`${name}/wsgi.py`))
    if (has('gunicorn') && project !== undefined)
      return { command: `gunicorn --bind ${bind} ${project}.wsgi`, why: 'manage.py (Django), gunicorn', notes: [] }
    const notes = ['gunicorn is not among the requirements: the development server of Django is used']
    return { command: `python manage.py runserver --noreload ${bind}`, why: 'manage.py (Django)', notes }
  }
  if (file === undefined) return undefined
  const module = file.replace(/\.py$/, '')
  if (has('uvicorn') && (has('fastapi') || has('starlette')))
    return { command: `uvicorn ${module}:app --host 0.0.0.0 --port $PORT`, why: `${file} (FastAPI)`, notes: [] }
  if (has('gunicorn')) return { command: `gunicorn --bind ${bind} ${module}:app`, why: `${file}, gunicorn`, notes: [] }
  if (has('flask')) {
    const notes = ['gunicorn is not among the requirements: the development server of Flask is used']
    return { command: `flask --app ${module} run --host 0.0.0.0 --port $PORT`, why: `${file} (Flask)`, notes }
  }
  return { command: `python ${file}`, why: file, notes: [] }
}
