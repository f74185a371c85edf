// Who has the clone: one house at a time, and a house that is ending says so.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cloneDir, lockHouse, unlockHouse } from './state.ts'

const state = mkdtempSync(join(tmpdir(), 'flow402-state-'))
beforeAll(() => {
  process.env.FLOW402_STATE_DIR = state
})
afterAll(() => rmSync(state, { recursive: true }))

/** Another run in this clone that takes it, and begins to end at the first line it is sent. */
async function otherRun() {
  const script = `const { lockHouse, markEnding } = await import(${JSON.stringify(join(cloneDir, 'scripts/state.ts'))})
    console.log(lockHouse() ?? 'taken'); process.stdin.once('data', () => { markEnding(); console.log('ending') })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { env: process.env, stdio: ['pipe', 'pipe', 'inherit'] })
  const nextWord = async () => String((await once(child.stdout, 'data'))[0]).trim()
  return { child, nextWord }
}

test('a clone has one house; one that is ending says so, and a killed one leaves the clone free', async () => {
  const { child, nextWord } = await otherRun()
  expect(await nextWord()).toBe('taken')
  expect(lockHouse()).toEqual({ pid: child.pid, isEnding: false })

  child.stdin.write('end\n')
  expect(await nextWord()).toBe('ending')
  expect(lockHouse()).toEqual({ pid: child.pid, isEnding: true })

  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(lockHouse()).toBeUndefined()
  unlockHouse()
})
