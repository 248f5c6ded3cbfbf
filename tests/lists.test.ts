import { describe, expect, it } from 'vitest'
import { doctor, password, patient, world } from './support/api.ts'

const { admin } = await world()

const absent = '01890000-0000-7000-8000-000000000000'
const made = async (path: string, body: unknown) => (await admin.post(path, body)).id
const addPatient = (more: Record<string, unknown> = {}) => made('/api/patients', patient(more))
const addDoctor = (more: Record<string, unknown> = {}) => made('/api/doctors', doctor(more))
const map = (patientId: string, doctorId: string) => made('/api/mappings', { patientId, doctorId })

/** A list of the test's own: where it is, how a row gets into it, and how that row, by the id it shows, gets out of it. */
type List = { path: string; add: () => Promise<string>; remove: (id: string) => Promise<unknown> }

const removing = (path: string) => (id: string) => admin.delete(`${path}/${id}`)

const lists: Record<string, () => Promise<List>> = {
  async '/api/patients'() {
    const tag = crypto.randomUUID()
    return {
      path: `/api/patients?q=${tag}`,
      add: () => addPatient({ name: tag }),
      remove: removing('/api/patients'),
    }
  },
  async '/api/doctors'() {
    const specialization = crypto.randomUUID()
    return {
      path: `/api/doctors?specialization=${specialization}`,
      add: () => addDoctor({ specialization }),
      remove: removing('/api/doctors'),
    }
  },
  async '/api/users'() {
    const tag = crypto.randomUUID()
    const account = () => ({ name: tag, email: `${crypto.randomUUID()}@example.org`, password, role: 'patient' })
    return {
      path: `/api/users?q=${tag}&active=true`,
      add: () => made('/api/users', account()),
      remove: (id) => admin.patch(`/api/users/${id}`, { active: false }),
    }
  },
  async '/api/mappings'() {
    const patientId = await addPatient()
    return {
      path: `/api/mappings?patientId=${patientId}`,
      add: async () => map(patientId, await addDoctor()),
      remove: removing('/api/mappings'),
    }
  },
  async '/api/mappings/{patient}'() {
    const patientId = await addPatient()
    return {
      path: `/api/mappings/${patientId}`,
      add: async () => map(patientId, await addDoctor()),
      remove: removing('/api/mappings'),
    }
  },
  async '/api/patients/{id}/doctors'() {
    const patientId = await addPatient()
    const add = async () => {
      const doctorId = await addDoctor()
      await map(patientId, doctorId)
      return doctorId
    }
    return { path: `/api/patients/${patientId}/doctors`, add, remove: removing('/api/doctors') }
  },
  async '/api/doctors/{id}/patients'() {
    const doctorId = await addDoctor()
    const add = async () => {
      const patientId = await addPatient()
      await map(patientId, doctorId)
      return patientId
    }
    return { path: `/api/doctors/${doctorId}/patients`, add, remove: removing('/api/patients') }
  },
}

const rows = async (list: List, count: number): Promise<string[]> => {
  const ids: string[] = []
  while (ids.length < count) ids.push(await list.add())
  return ids
}

/** The path with more of a query. */
const plus = (path: string, query: string) => `${path}${path.includes('?') ? '&' : '?'}${query}`

/** The ids of page after page, each got from the `next` of the one before; `between` happens after every page. */
async function walk(path: string, between: (seen: string[]) => Promise<unknown> = async () => {}): Promise<string[]> {
  const seen: string[] = []
  for (let next: unknown = path; typeof next === 'string'; ) {
    const page = await admin.get(next)
    seen.push(...page.each('id').map(String))
    next = page.at('next')
    await between(seen)
  }
  return seen
}

describe.each(Object.entries(lists))('%s', (_, newList) => {
  it('a list is shown newest first, page by page, up to a last page without a next', async () => {
    const list = await newList()
    const ids = await rows(list, 5)
    const pages = [await admin.get(plus(list.path, 'limit=2'))]
    for (const page of pages) if (page.at('next') !== null) pages.push(await admin.get(page.string('next')))
    expect(pages.map((page) => page.each('id'))).toEqual([[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]])
    expect(pages.map((page) => page.status)).toEqual([200, 200, 200])
    expect(pages.map((page) => Object.keys(Object(page.body)))).toEqual(Array(3).fill(['results', 'next']))
    const links = pages.map((page) => (page.at('next') === null ? null : `<${page.at('next')}>; rel="next"`))
    expect(pages.map((page) => page.headers.get('Link'))).toEqual(links)
    expect(pages[0]?.string('next')).toMatch(/^\/api\//)
  })

  it('a list has no next where the last row is the last of a full page', async () => {
    const list = await newList()
    expect((await admin.get(list.path)).body).toEqual({ results: [], next: null })
    await rows(list, 2)
    expect((await admin.get(plus(list.path, 'limit=2'))).at('next')).toBeNull()
  })

  it('a list is counted whole, on every page, where count=true asks for it', async () => {
    const list = await newList()
    expect((await admin.get(plus(list.path, 'count=true'))).at('count')).toBe(0)
    await rows(list, 3)
    const first = await admin.get(plus(list.path, 'count=true&limit=2'))
    expect(first.at('count')).toBe(3)
    expect((await admin.get(first.string('next'))).at('count')).toBe(3)
    expect((await admin.get(plus(list.path, 'count=false'))).body).not.toHaveProperty('count')
  })

  it('a list neither skips nor repeats a row while others are added and deleted', async () => {
    const list = await newList()
    const ids = await rows(list, 8)
    const [oldest, , third] = ids
    const seen = await walk(plus(list.path, 'limit=2'), async (sofar) => {
      await list.add()
      if (sofar.length === 2 && sofar[1]) await list.remove(sofar[1])
      if (sofar.length === 4 && third) await list.remove(third)
    })
    expect(seen).toEqual(ids.filter((id) => id !== third).toReversed())
    expect(seen.at(-1)).toBe(oldest)
  })

  it('a list takes a cursor with another limit', async () => {
    const list = await newList()
    const ids = await rows(list, 3)
    const next = (await admin.get(plus(list.path, 'limit=1'))).string('next')
    expect((await admin.get(next.replace('limit=1', 'limit=100'))).each('id')).toEqual([ids[1], ids[0]])
  })

  it('a list refuses a cursor that it did not give out', async () => {
    const [list, other] = [await newList(), await newList()]
    const cursor = async ({ path }: List) =>
      new URL((await admin.get(plus(path, 'limit=1'))).string('next'), 'http://x').searchParams.get('cursor') ?? ''
    await rows(list, 2)
    await rows(other, 2)
    const own = await cursor(list)
    const middle = Math.floor(own.length / 2)
    const swap = (at: number) => own.slice(0, at) + (own[at] === 'A' ? 'B' : 'A') + own.slice(at + 1)
    for (const bad of [
      await cursor(other),
      swap(0),
      swap(middle),
      own.slice(0, -4),
      own.slice(4),
      'x',
      '',
      own + own,
    ]) {
      const refused = await admin.get(plus(list.path, `cursor=${encodeURIComponent(bad)}`))
      expect([bad, refused.status, refused.faults]).toEqual([bad, 400, ['cursor']])
    }
  })

  it.each([
    ['limit', 'limit=0'],
    ['limit', 'limit=101'],
    ['limit', 'limit=-1'],
    ['limit', 'limit=1.5'],
    ['limit', 'limit=ten'],
    ['limit', 'limit='],
    ['limit', 'limit=1&limit=1'],
    ['count', 'count=yes'],
    ['count', 'count=true&count=true'],
    ['cursor', 'cursor=x&cursor=x'],
    ['sort', 'sort=address'],
    ['sort', 'sort='],
    ['sort', 'sort=name&sort=name'],
    ['page', 'page=2'],
    ['Limit', 'Limit=2'],
    ['gendre', 'gendre=male'],
  ])('a list names %s in the 400 for ?%s', async (name, query) => {
    const refused = await admin.get(plus((await newList()).path, query))
    expect([refused.status, new Set(refused.faults)]).toEqual([400, new Set([name])])
  })

  it('a list is the same with a slash at the end of its path, and so are the pages behind it', async () => {
    const list = await newList()
    await rows(list, 3)
    const [path, query = ''] = plus(list.path, 'limit=2').split('?')
    const [plain, slashed] = [await admin.get(`${path}?${query}`), await admin.get(`${path}/?${query}`)]
    expect([slashed.status, slashed.body]).toEqual([plain.status, plain.body])
    expect(slashed.headers.get('Link')).toBe(plain.headers.get('Link'))
    const next = plain.string('next').replace('?', '/?')
    expect((await admin.get(next)).body).toEqual((await admin.get(plain.string('next'))).body)
  })
})

it('a list shows 50 rows where no limit is given, and 100 at most', async () => {
  const list = await lists['/api/patients']?.()
  if (!list) throw new Error('no such list')
  await rows(list, 101)
  expect((await admin.get(list.path)).list()).toHaveLength(50)
  expect((await admin.get(plus(list.path, 'limit=100'))).list()).toHaveLength(100)
})

it.each([
  ['/api/patients', 'gender', 'x'],
  ['/api/patients', 'doctorId', 'x'],
  ['/api/patients', 'deleted', 'yes'],
  ['/api/patients', 'q', 'x'.repeat(201)],
  ['/api/doctors', 'q', 'x'.repeat(201)],
  ['/api/doctors', 'specialization', 'x'.repeat(201)],
  ['/api/mappings', 'patientId', 'x'],
  ['/api/mappings', 'doctorId', ''],
])('the list %s names %s in the 400 for the value %s, and where it is repeated', async (path, name, value) => {
  for (const query of [`${name}=${value}`, `${name}=${absent}&${name}=${absent}`]) {
    const refused = await admin.get(`${path}?${query}`)
    expect([refused.status, refused.faults]).toEqual([400, [name]])
  }
})

it.each([
  ['/api/patients', '/api/doctors', 'q=TAG'],
  ['/api/patients', '/api/patients', 'q=TAG&gender=female'],
  ['/api/patients', '/api/patients', 'q=TAG&sort=name'],
  ['/api/patients', '/api/patients', 'q=other'],
  ['/api/patients', '/api/patients', 'limit=1'],
  ['/api/doctors', '/api/doctors', 'q=TAG&sort=-createdAt'],
  ['/api/doctors', '/api/patients', 'q=TAG'],
])('a cursor of %s?q=TAG is refused by %s?%s', async (from, to, query) => {
  const tag = crypto.randomUUID()
  await Promise.all([1, 2].flatMap(() => [addPatient({ name: tag }), addDoctor({ name: tag })]))
  const page = await admin.get(`${from}?q=${tag}&limit=1`)
  const cursor = page.string('next').match(/cursor=([^&]+)/)?.[1]
  const refused = await admin.get(`${to}?${query.replace('TAG', tag)}&cursor=${cursor}`)
  expect([refused.status, refused.faults]).toEqual([400, ['cursor']])
})

describe('The parameter sort', () => {
  it.each<[list: string, sort: string, values: unknown[]]>([
    ['patients', 'name', ['Adam', 'Bea', 'bea', 'Béa', 'Émile', 'Zoe']],
    ['patients', 'dateOfBirth', ['1901-01-01', '1980-02-29', '1980-02-29', '1980-02-29', '2001-12-31']],
    ['doctors', 'name', ['Adam', 'Bea', 'bea', 'Béa', 'Émile', 'Zoe']],
    ['doctors', 'experienceYears', [null, null, null, 0, 2, 2, 10, 80]],
  ])(
    'the list /api/%s is sorted by %s, in both directions, with equal and with absent values',
    async (list, sort, values) => {
      const tag = `${crypto.randomUUID()}@example.org`
      const add = list === 'patients' ? addPatient : addDoctor
      // Neither in the order asked for nor in its reverse.
      const mixed = values.map((value, index) => ({ value, order: (index * 7 + 3) % values.length }))
      for (const { value, order } of mixed.toSorted((a, b) => a.order - b.order))
        await add({ [sort]: value, email: `${order}.${tag}` })
      const path = `/api/${list}?q=${tag}&limit=2&sort=`
      const shown = async (id: string) => (await admin.get(`/api/${list}/${id}`)).at(sort)

      const [up, down] = [await walk(path + sort), await walk(`${path}-${sort}`)]
      expect(down).toEqual(up.toReversed())
      expect(new Set(up).size).toBe(values.length)
      const folded = (value: unknown) =>
        typeof value === 'string' ? value.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase() : value
      expect((await Promise.all(up.map(shown))).map(folded)).toEqual(values.map(folded))
    },
  )

  it.each(['patients', 'doctors'])('the list /api/%s is sorted by createdAt, in both directions', async (list) => {
    const tag = crypto.randomUUID()
    const ids: string[] = []
    for (let i = 0; i < 5; i++) ids.push(await (list === 'patients' ? addPatient : addDoctor)({ name: tag }))
    expect(await walk(`/api/${list}?q=${tag}&limit=2&sort=createdAt`)).toEqual(ids)
    expect(await walk(`/api/${list}?q=${tag}&limit=2&sort=-createdAt`)).toEqual(ids.toReversed())
  })

  it('the list /api/patients is sorted by updatedAt, in both directions', async () => {
    const tag = crypto.randomUUID()
    const ids = await Promise.all(Array.from({ length: 5 }, () => addPatient({ name: tag })))
    for (const id of ids.toSorted().toReversed()) await admin.patch(`/api/patients/${id}`, { address: 'here' })
    const path = `/api/patients?q=${tag}&limit=2&sort=`
    const [up, down] = [await walk(`${path}updatedAt`), await walk(`${path}-updatedAt`)]
    const times = (await admin.get(`/api/patients?q=${tag}&sort=updatedAt`)).each('updatedAt')
    expect(times).toEqual(times.toSorted())
    expect(down).toEqual(up.toReversed())
    expect(new Set(up)).toEqual(new Set(ids))
  })

  it('a sorted list neither skips nor repeats a row while others are added and deleted', async () => {
    const tag = crypto.randomUUID()
    const kept: string[] = []
    for (const letter of 'abcdef') kept.push(await addPatient({ name: `${letter} ${tag}` }))
    const seen = await walk(`/api/patients?q=${tag}&limit=2&sort=name`, async (sofar) => {
      await addPatient({ name: `0 ${tag}` })
      if (sofar.length === 2) await admin.delete(`/api/patients/${sofar[1]}`)
    })
    expect(seen).toEqual(kept)
  })

  it('a list is sorted newest first where no order is asked for', async () => {
    const tag = crypto.randomUUID()
    const [old, recent] = [await addPatient({ name: `a ${tag}` }), await addPatient({ name: `b ${tag}` })]
    expect((await admin.get(`/api/patients?q=${tag}`)).each('id')).toEqual([recent, old])
  })
})

describe('The parameter q', () => {
  const cases: [q: string, field: string, value: string, found: boolean][] = [
    ['zoe', 'name', 'Zoë Müller', true],
    ['ZOË', 'name', 'zoe Müller', true],
    ['muller', 'name', 'Zoë MÜLLER', true],
    ['strasse', 'name', 'Ina Straße', true],
    ['oë mü', 'name', 'Zoe Muller', true],
    ['  Zoë ', 'name', 'Zoë', true],
    ['жуков', 'name', 'Анна ЖУКОВА', true],
    ['ΜΑΡΊΑ', 'name', 'Μαρία', true],
    ['ΟΔΥΣΣΕΎΣ', 'name', 'Οδυσσεύς', true],
    ['e\u0301mile', 'name', '\u00c9mile', true],
    ['zoé m', 'name', 'Zoë Adler', false],
    ['100%', 'name', 'a 100% b', true],
    ['1%0', 'name', 'a 100 b', false],
    ['%', 'name', 'a 100 b', false],
    ['a_b', 'name', 'a_b', true],
    ['a_b', 'name', 'axb', false],
    ['a\\b', 'name', 'a\\b', true],
    ['\\', 'name', 'axb', false],
    ['\\%', 'name', 'a%b', false],
    ["O'Hara", 'name', "Pat O'Hara", true],
    ['PAT@example', 'email', 'pat@example.org', true],
    ['pat_', 'email', 'patx@example.org', false],
  ]

  const phone = '+49 (30) 123-45.67'
  const phones: typeof cases = [
    ['+49 (30) 123-45.67', 'phone', phone, true],
    ['30 12', 'phone', phone, true],
    ['(30) 123', 'phone', phone, true],
    ['123-45', 'phone', phone, true],
    ['45.67', 'phone', phone, true],
    ['+4930', 'phone', phone, true],
    ['[30]', 'phone', phone, true],
    ['30 13', 'phone', phone, false],
    ['9+30', 'phone', phone, false],
    ['30%45', 'phone', phone, false],
    ['30_23', 'phone', phone, false],
  ]

  it.each([...cases, ...phones])(
    'the search for %j in /api/patients finds the %s %j: %s',
    async (q, field, value, found) => {
      const owned = await addPatient({ [field]: value })
      const answer = await admin.get(`/api/patients?${new URLSearchParams({ q, limit: '100' })}`)
      expect([answer.status, answer.each('id').includes(owned)]).toEqual([200, found])
    },
  )

  it.each<(typeof cases)[number]>([
    ...cases.filter(([, field]) => field === 'name'),
    ['GYNECO', 'specialization', 'Gynécologie', true],
    ['%', 'specialization', 'Gynécologie', false],
  ])('the search for %j in /api/doctors finds the %s %j: %s', async (q, field, value, found) => {
    const owned = await addDoctor({ [field]: value })
    const answer = await admin.get(`/api/doctors?${new URLSearchParams({ q, limit: '100' })}`)
    expect([answer.status, answer.each('id').includes(owned)]).toEqual([200, found])
  })

  it('a doctor is found by a part of the e-mail address', async () => {
    const name = crypto.randomUUID()
    const id = await addDoctor({ email: `${name}@example.org` })
    expect((await admin.get(`/api/doctors?q=${name.toUpperCase()}@EX`)).each('id')).toEqual([id])
  })
})

describe('A slash at the end of a path', () => {
  it.each(['/healthz', '/readyz', '/api/auth/me', '/api/nothing', '/api/patients/x', `/api/doctors/${absent}`])(
    'a slash changes nothing of GET %s',
    async (path) => {
      const [plain, slashed] = [await admin.get(path), await admin.get(`${path}/`)]
      const body = (text: string) => text.replace(/"instance":"[^"]+"/, '')
      expect([slashed.status, body(slashed.text)]).toEqual([plain.status, body(plain.text)])
    },
  )

  it.each(['patients', 'doctors'])(
    'a slash changes nothing of create, read, replace, change, delete and restore in /api/%s',
    async (list) => {
      const body = list === 'patients' ? patient() : doctor()
      const created = await admin.post(`/api/${list}/`, body)
      expect([created.status, created.headers.get('Location')]).toEqual([201, `/api/${list}/${created.id}`])
      const path = `/api/${list}/${created.id}`
      expect((await admin.get(`${path}/`)).body).toEqual((await admin.get(path)).body)
      expect((await admin.put(`${path}/`, body)).status).toBe(200)
      expect((await admin.patch(`${path}/`, { name: 'New' })).at('name')).toBe('New')
      expect((await admin.delete(`${path}/`)).status).toBe(204)
      expect((await admin.post(`${path}/restore/`)).status).toBe(200)
    },
  )

  it('a slash changes nothing of create, read and delete in /api/mappings', async () => {
    const created = await admin.post('/api/mappings/', { patientId: await addPatient(), doctorId: await addDoctor() })
    expect(created.headers.get('Location')).toBe(`/api/mappings/${created.id}`)
    expect((await admin.get(`/api/mappings/${created.id}/`)).body).toEqual(created.body)
    expect((await admin.delete(`/api/mappings/${created.id}/`)).status).toBe(204)
  })

  it('a slash changes nothing where a method is not available', async () => {
    for (const path of ['/api/patients', '/api/patients/']) {
      const refused = await admin.delete(path)
      expect([refused.status, refused.headers.get('Allow')]).toEqual([405, 'GET, HEAD, POST, OPTIONS'])
    }
  })
})

it('a cursor holds whatever the order of the filters beside it, and for no other value of one', async () => {
  const tag = `Order${crypto.randomUUID().slice(0, 8)}`
  for (let i = 0; i < 2; i += 1) await admin.post('/api/patients', patient({ name: `${tag} ${i}` }))
  const first = await admin.get(`/api/patients?q=${tag}&gender=female&limit=1`)
  const cursor = new URL(first.string('next'), 'http://x').searchParams.get('cursor') ?? ''
  const after = (query: string) => admin.get(`/api/patients?${query}&cursor=${cursor}`)
  for (const query of [`q=${tag}&gender=female`, `gender=female&q=${tag}`, `limit=1&gender=female&q=${tag}`])
    expect((await after(query)).each('name')).toEqual([`${tag} 0`])
  for (const query of [`q=${tag}`, `q=${tag}&gender=male`, `q=${tag}&gender=female&sort=name`])
    expect((await after(query)).faults).toEqual(['cursor'])
})
