import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { world } from './support/api.ts'

const { api, admin } = await world()

const promtool = process.env.PROMTOOL ?? '/usr/bin/promtool'
const rules = readFileSync('deploy/prometheus/alerts.yml', 'utf8')
const cases = readFileSync('deploy/prometheus/alerts.test.yml', 'utf8')
const dashboard: { panels: { title: string; targets: { expr: string }[] }[] } = JSON.parse(
  readFileSync('deploy/grafana/hospital.json', 'utf8'),
)

const alertNames = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name)
const alertQueries = [...rules.matchAll(/expr: (.+)/g)].map(([, query = '']) => query)
const panelQueries = dashboard.panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const))

/** The metrics that a query names: what stands before braces. */
const metricsOf = (query: string) => [...query.matchAll(/([a-z_]\w*)\{/g)].map(([, name = '']) => name)

await admin.get('/api/doctors')
const figures = (await api.send('GET', '/metrics')).text
/** `up` is Prometheus' own. */
const known = new Set(['up', ...[...figures.matchAll(/^([a-z_]\w*)[{ ]/gm)].map(([, name]) => name)])

describe('Alerts and the dashboard', () => {
  it.each([...alertQueries.map((query, i) => [alertNames[i], query] as const), ...panelQueries])(
    '%s asks for metrics that /metrics has',
    (_, query) => {
      const metrics = metricsOf(query)
      expect(metrics).not.toEqual([])
      expect(metrics.filter((name) => !known.has(name))).toEqual([])
    },
  )

  it('every alert has a case in which it fires', () => {
    expect(
      alertNames.filter((name) => !cases.includes(`alertname: ${name}\n        exp_alerts:\n          - `)),
    ).toEqual([])
  })

  it.skipIf(!existsSync(promtool))('promtool takes the rules, and each fires in its case', () => {
    const run = (...args: string[]) => execFileSync(promtool, args, { encoding: 'utf8' })
    expect(run('check', 'rules', 'deploy/prometheus/alerts.yml')).toContain(`${alertNames.length} rules found`)
    expect(run('test', 'rules', 'deploy/prometheus/alerts.test.yml')).toContain('SUCCESS')
  })
})
