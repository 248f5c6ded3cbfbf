import { defineConfig } from 'drizzle-kit'

export default defineConfig({
  dialect: 'postgresql',
  schema: ['./src/*/schema.ts', './src/features/*/schema.ts'],
  out: './drizzle',
  // Only the studio connects, and npm run db:studio says where to. npm run db:migrate does not ask drizzle-kit.
  dbCredentials: { url: process.env.DATABASE_URL ?? 'postgres://127.0.0.1' },
})
