// The pages are built once and again only when something they are made of has changed.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { lastLines, logOf, runToEnd } from './services.ts'
import { cloneDir } from './state.ts'

/** Where the built pages are, from the root of the clone. */
export const pagesDir = '.flow402/next'

const sources = [
  'app',
  'components',
  'lib',
  'packages/protocol',
  'packages/sdk',
  'rust-lib/js',
  'public',
  'next.config.ts',
  'postcss.config.mjs',
  'package-lock.json',
]

/** Builds the pages when they are missing or old. Throws with the end of the log. */
export async function buildPages(): Promise<{ detail: string }> {
  const stamp = join(cloneDir, pagesDir, 'flow402-sources')
  const hash = hashOfSources()
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return { detail: 'already built' }
  const { exitCode, printed } = await runToEnd('build', [join(cloneDir, 'node_modules/next/dist/bin/next'), 'build'], {
    env: { NODE_ENV: 'production', FLOW402_NEXT_DIR: pagesDir },
  })
  if (exitCode !== 0) throw new Error(`next build failed (exit code ${exitCode}). The end of ${logOf('build')}:\n${lastLines(printed, 30)}`)
  writeFileSync(stamp, hash)
  return { detail: 'built' }
}

function hashOfSources(): string {
  const hash = createHash('sha256')
  for (const source of sources) {
    for (const file of filesOf(join(cloneDir, source))) {
      hash.update(file.slice(cloneDir.length)).update('\0').update(readFileSync(file)).update('\0')
    }
  }
  return hash.digest('hex')
}

function filesOf(path: string): string[] {
  if (!existsSync(path)) return []
  if (statSync(path).isFile()) return [path]
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.test\.tsx?$|\.md$/.test(entry.name) && !entry.parentPath.includes('node_modules'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}
