import { describe, expect, it } from 'vitest'
import { patient, world } from './support/api.ts'

const { admin } = await world()

describe('patients', () => {
  it('are created', async () => {
    expect((await admin.post('/api/patients', patient())).status).toBe(201)
  })
})
