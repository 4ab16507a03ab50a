// platformatic.mjs BOOTSTRAP [transactions] - @platformatic/kafka, which knows the newest versions of calls alone.
import { Admin, Consumer, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka'
import said from './said.js'

const { EACH, same, skip, step, until, done } = said
const base = { clientId: 'platformatic', bootstrapBrokers: [process.argv[2]] }
const admin = new Admin(base)
const sent = []

async function using (client, run) {
  try { return await run(client) } finally { await client.close(true) }
}

const producer = (more = {}) => new Producer({ ...base, serializers: stringSerializers, ...more })
const consumer = (groupId, more = {}) => new Consumer({
  ...base, groupId, deserializers: stringDeserializers, autocommit: false, maxWaitTime: 100, sessionTimeout: 6000, heartbeatInterval: 300, ...more
})
const end = () => using(consumer('ends'), async c => Number((await c.listOffsets({ topics: ['codecs'], timestamp: -1n })).get('codecs')[0]))

function readFrom (topic, offset, count, more = {}) {
  return using(consumer('read-' + Math.random(), more), async c => {
    const got = []
    const stream = await c.consume({ topics: [topic], mode: 'manual', offsets: [{ topic, partition: 0, offset: BigInt(offset) }] })
    stream.on('data', m => got.push(m))
    await until(`${count} records`, () => got.length >= count)
    return got
  })
}

await step('metadata', async () => {
  same('brokers', (await admin.metadata({ topics: [] })).brokers.size, 1)
  same('topics', (await admin.listTopics()).length, 0)
})
await step('create topics', async () => {
  await admin.createTopics({ topics: ['codecs', 'txn'], partitions: 1, replicas: 1 })
  await admin.createTopics({ topics: ['shared'], partitions: 4, replicas: 1 })
  same('topics', (await admin.listTopics()).sort(), ['codecs', 'shared', 'txn'])
})
await step('codecs x acks', () => using(producer(), async p => {
  for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    for (const acks of [0, 1, -1]) {
      const messages = []
      for (let i = 0; i < EACH; i++) {
        const value = `${compression} ${acks} ${i} `.repeat(20)
        messages.push({ topic: 'codecs', key: 'k', value, partition: 0, timestamp: BigInt(1000 + sent.length), headers: { h: '1' } })
        sent.push(value)
      }
      await p.send({ messages, acks, compression })
      await until('arrival', async () => await end() === sent.length) // acks 0 says nothing
    }
  }
}))
await step('read from offsets', async () => {
  for (const start of [0, 1, 150, sent.length - 1]) {
    same('values', (await readFrom('codecs', start, sent.length - start)).map(m => m.value), sent.slice(start))
  }
})
await step('list offsets', () => using(consumer('lists'), async c => {
  const at = async timestamp => Number((await c.listOffsets({ topics: ['codecs'], timestamp })).get('codecs')[0])
  same('beginning, end, by time', [await at(-2n), await at(-1n), await at(1042n)], [0, sent.length, 42])
}))
await step('group resumes', async () => {
  await using(producer(), p => p.send({ messages: Array.from({ length: 400 }, (_, i) => ({ topic: 'shared', value: String(i), partition: i % 4 })), acks: -1 }))
  const seen = []
  for (const want of [200, 400]) {
    await using(consumer('resume'), async c => {
      const stream = await c.consume({ topics: ['shared'], mode: 'committed', fallbackMode: 'earliest' })
      for await (const m of stream) {
        seen.push(Number(m.value))
        await m.commit()
        if (seen.length === want) break
      }
    })
  }
  same('each record once', new Set(seen).size, 400)
})
await step('two members share', async () => {
  const [a, b] = [consumer('two'), consumer('two')]
  const has = c => (c.assignments || []).reduce((n, t) => n + t.partitions.length, 0)
  for (const c of [a, b]) (await c.consume({ topics: ['shared'], mode: 'latest' })).on('data', () => {})
  await until('two of four partitions each', () => has(a) === 2 && has(b) === 2)
  await a.close(true)
  await until('all for the one who stays', () => has(b) === 4)
  await b.close(true)
})
await step('admin', async () => {
  const what = { resourceType: 2, resourceName: 'short' } // 2: a topic
  const setting = async () => (await admin.describeConfigs({ resources: [what] }))[0].configs.find(c => c.name === 'retention.ms').value
  await admin.createTopics({ topics: ['short'], partitions: 1, replicas: 1, configs: [{ name: 'retention.ms', value: '3600000' }] })
  same('setting', await setting(), '3600000')
  await admin.incrementalAlterConfigs({ resources: [{ ...what, configs: [{ name: 'retention.ms', configOperation: 0, value: '7200000' }] }] })
  same('setting', await setting(), '7200000')
  await admin.createPartitions({ topics: [{ name: 'short', count: 3, assignments: null }] })
  same('partitions', (await admin.metadata({ topics: ['short'], forceUpdate: true })).topics.get('short').partitionsCount, 3)
  same('groups', (await admin.listGroups()).has('resume'), true)
  same('state', (await admin.describeGroups({ groups: ['resume'] })).get('resume').state, 'Empty')
  await admin.deleteGroups({ groups: ['resume'] })
  await admin.deleteTopics({ topics: ['short'] })
  same('topic', (await admin.listTopics()).includes('short'), false)
})
await step('idempotent', () => using(producer({ idempotent: true }), async p => {
  for (let i = 0; i < 20; i++) {
    const got = await p.send({ messages: [{ topic: 'codecs', value: 'once', partition: 0 }], acks: -1 })
    same('offset', Number(got.offsets[0].offset), sent.length + i)
  }
}))
await step('transactions', async () => {
  if (process.argv.length < 4) skip('not served yet')
  await using(producer({ idempotent: true, transactionalId: 't-platformatic' }), async p => {
    for (const end of ['abort', 'commit', 'commit']) {
      const t = await p.beginTransaction()
      await t.send({ messages: Array.from({ length: 10 }, () => ({ topic: 'txn', value: end, partition: 0 })), acks: -1 })
      await t[end]()
    }
  })
  same('committed', (await readFrom('txn', 0, 20, { isolationLevel: 1 })).map(m => m.value), Array(20).fill('commit'))
  same('all', (await readFrom('txn', 0, 30, { isolationLevel: 0 })).length, 30)
})
await admin.close()
done()
