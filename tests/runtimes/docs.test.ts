import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ownFolder, Program } from '../support/program.ts'

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']

const folder = await ownFolder()
let url = ''

beforeAll(async () => {
  const server = new Program('src/runtime/node/main.ts', {
    PORT: '0',
    DATA_DIR: join(folder, 'data'),
    LOG_LEVEL: 'warn',
  })
  url = await server.said(/http:\/\/127\.0\.0\.1:\d+/)
})

/** Opens an operation of the page, sends its example, and tells the status of the answer. */
async function tryOut(page: Page, id: string): Promise<string | null> {
  const operation = page.locator(`[id$="-${id}"]`)
  await operation.locator('.opblock-summary-control').click()
  await operation.locator('.execute').click()
  const status = operation.locator('.live-responses-table tbody .response-col_status')
  await status.first().waitFor()
  return (await status.first().textContent())?.trim().slice(0, 3) ?? null
}

// On a machine without a browser this one is left out; where the whole is judged, it is not.
it.skipIf(!existsSync(executablePath) && !process.env.CI)(
  'the page at /docs registers, keeps the token over a reload, and creates a patient, with nobody else’s help',
  async () => {
    const browser = await chromium.launch({ executablePath, args })
    afterAll(() => browser.close())
    const page = await browser.newPage({ viewport: { width: 1200, height: 1000 } })
    // The machine may have other things to do, and a browser draws for them all.
    page.setDefaultTimeout(90_000)
    const asked: string[] = []
    const complaints: string[] = []
    page.on('request', (request) => asked.push(new URL(request.url()).origin))
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))

    await page.goto(`${url}/docs`)
    expect(await tryOut(page, 'createPatient')).toBe('401')
    expect(await tryOut(page, 'register')).toBe('201')
    await page.reload()
    expect(await tryOut(page, 'createPatient')).toBe('201')
    const answer = page.locator('[id$="-createPatient"] .live-responses-table tbody .response-col_description')
    expect(await answer.first().textContent()).toContain('"name": "Zoë Zimmer"')
    if (process.env.SCREENSHOT) {
      await answer.first().scrollIntoViewIfNeeded()
      await page.screenshot({ path: process.env.SCREENSHOT })
    }
    expect(await tryOut(page, 'logoutAll')).toBe('204')
    expect(await tryOut(page, 'getMe')).toBe('401')

    expect(new Set(asked)).toEqual(new Set([url]))
    // Chromium reports each answer of 4xx, which were two.
    expect(complaints.filter((line) => !line.includes('401'))).toEqual([])
  },
  240_000,
)
