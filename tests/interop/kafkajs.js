// kafkajs.js BOOTSTRAP [transactions] - kafkajs, which knows no flexible version of any call.
const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, logLevel } = require('kafkajs')
const zlib = require('node:zlib')
const lz4 = require('lz4js')
const { EACH, same, skip, step, until, done } = require('./said.js')

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => Buffer.from(lz4.compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(lz4.decompress(buffer))
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => zlib.zstdCompressSync(encoder.buffer),
  decompress: async buffer => zlib.zstdDecompressSync(buffer)
})

const kafka = new Kafka({ clientId: 'kafkajs', brokers: [process.argv[2]], logLevel: logLevel.NOTHING })
const admin = kafka.admin()
const sent = []

async function using (client, run) {
  await client.connect()
  try { return await run(client) } finally { await client.disconnect() }
}

const end = async () => Number((await admin.fetchTopicOffsets('codecs'))[0].high)

// Reads `count` records of one partition from an offset on: kafkajs has no consumer without a group.
function readFrom (topic, offset, count, more = {}) {
  return using(kafka.consumer({ groupId: 'read-' + Math.random(), maxWaitTimeInMs: 100, ...more }), async c => {
    const got = []
    await c.subscribe({ topic, fromBeginning: true })
    c.run({ autoCommit: false, eachMessage: async ({ message }) => { if (Number(message.offset) >= offset) got.push(message) } })
    c.seek({ topic, partition: 0, offset: String(offset) })
    await until(`${count} records`, () => got.length >= count)
    return got
  })
}

async function main () {
  await admin.connect()
  await step('metadata', async () => {
    same('brokers', (await admin.describeCluster()).brokers.length, 1)
    same('topics', (await admin.listTopics()).length, 0)
  })
  await step('create topics', async () => {
    await admin.createTopics({ topics: [{ topic: 'codecs', numPartitions: 1 }, { topic: 'shared', numPartitions: 4 }, { topic: 'txn', numPartitions: 1 }] })
    same('topics', (await admin.listTopics()).sort(), ['codecs', 'shared', 'txn'])
  })
  await step('codecs x acks', () => using(kafka.producer(), async p => {
    for (const compression of Object.values(CompressionTypes)) {
      for (const acks of [0, 1, -1]) {
        const messages = []
        for (let i = 0; i < EACH; i++) {
          const value = `${compression} ${acks} ${i} `.repeat(20)
          messages.push({ key: 'k', value, partition: 0, timestamp: String(1000 + sent.length), headers: { h: '1' } })
          sent.push(value)
        }
        await p.send({ topic: 'codecs', messages, acks, compression })
        await until('arrival', async () => await end() === sent.length) // acks 0 says nothing
      }
    }
  }))
  await step('read from offsets', async () => {
    for (const start of [0, 1, 150, sent.length - 1]) {
      const got = await readFrom('codecs', start, sent.length - start)
      same('values', got.map(m => String(m.value)), sent.slice(start))
      same('time', got[0].timestamp, String(1000 + start))
    }
  })
  await step('list offsets', async () => {
    const o = (await admin.fetchTopicOffsets('codecs'))[0]
    same('beginning, end', [o.low, o.high], ['0', String(sent.length)])
    same('by time', (await admin.fetchTopicOffsetsByTimestamp('codecs', 1042))[0].offset, '42')
  })
  await step('group resumes', async () => {
    await using(kafka.producer(), p => p.send({ topic: 'shared', messages: Array.from({ length: 400 }, (_, i) => ({ value: String(i), partition: i % 4 })) }))
    const seen = []
    for (const want of [200, 400]) {
      await using(kafka.consumer({ groupId: 'resume', maxWaitTimeInMs: 100 }), async c => {
        await c.subscribe({ topic: 'shared', fromBeginning: true })
        c.run({
          autoCommit: false,
          eachMessage: async ({ topic, partition, message }) => {
            if (seen.length === want) return
            seen.push(Number(message.value))
            await c.commitOffsets([{ topic, partition, offset: String(Number(message.offset) + 1) }])
          }
        })
        await until(`${want} records`, () => seen.length === want)
      })
    }
    same('each record once', new Set(seen).size, 400)
  })
  await step('two members share', async () => {
    const has = [0, 0]
    const members = [0, 1].map(() => kafka.consumer({ groupId: 'two', sessionTimeout: 6000, heartbeatInterval: 300, maxWaitTimeInMs: 100 }))
    for (const [i, c] of members.entries()) {
      c.on(c.events.GROUP_JOIN, e => { has[i] = (e.payload.memberAssignment.shared || []).length })
      await c.connect()
      await c.subscribe({ topic: 'shared' })
      c.run({ eachMessage: async () => {} })
    }
    await until('two of four partitions each', () => has[0] === 2 && has[1] === 2)
    await members[0].disconnect()
    await until('all for the one who stays', () => has[1] === 4)
    await members[1].disconnect()
  })
  await step('admin', async () => {
    const what = { type: ConfigResourceTypes.TOPIC, name: 'short' }
    const setting = async () => (await admin.describeConfigs({ resources: [what] })).resources[0].configEntries.find(e => e.configName === 'retention.ms').configValue
    await admin.createTopics({ topics: [{ topic: 'short', configEntries: [{ name: 'retention.ms', value: '3600000' }] }] })
    same('setting', await setting(), '3600000')
    await admin.alterConfigs({ resources: [{ ...what, configEntries: [{ name: 'retention.ms', value: '7200000' }] }] })
    same('setting', await setting(), '7200000')
    await admin.createPartitions({ topicPartitions: [{ topic: 'short', count: 3 }] })
    same('partitions', (await admin.fetchTopicMetadata({ topics: ['short'] })).topics[0].partitions.length, 3)
    await using(kafka.producer(), p => p.send({ topic: 'short', messages: Array.from({ length: 10 }, () => ({ value: 'v', partition: 0 })) }))
    await admin.deleteTopicRecords({ topic: 'short', partitions: [{ partition: 0, offset: '4' }] })
    same('low', (await admin.fetchTopicOffsets('short')).find(o => o.partition === 0).low, '4')
    same('groups', (await admin.listGroups()).groups.some(g => g.groupId === 'resume'), true)
    same('state', (await admin.describeGroups(['resume'])).groups[0].state, 'Empty')
    const held = (await admin.fetchOffsets({ groupId: 'resume', topics: ['shared'] }))[0].partitions
    same('committed', held.reduce((n, p) => n + Number(p.offset), 0), 400)
    await admin.deleteGroups(['resume'])
    await admin.deleteTopics({ topics: ['short'] })
    same('topic', (await admin.listTopics()).includes('short'), false)
  })
  await step('idempotent', () => using(kafka.producer({ idempotent: true, maxInFlightRequests: 1 }), async p => {
    for (let i = 0; i < 20; i++) {
      const got = await p.send({ topic: 'codecs', messages: [{ value: 'once', partition: 0 }] })
      same('offset', got[0].baseOffset, String(sent.length + i))
    }
  }))
  await step('transactions', async () => {
    if (process.argv.length < 4) skip('not served yet')
    await using(kafka.producer({ transactionalId: 't-kafkajs', idempotent: true, maxInFlightRequests: 1 }), async p => {
      for (const end of ['abort', 'commit', 'commit']) {
        const t = await p.transaction()
        await t.send({ topic: 'txn', messages: Array.from({ length: 10 }, () => ({ value: end, partition: 0 })) })
        if (end === 'commit') await t.sendOffsets({ consumerGroupId: 't-group', topics: [{ topic: 'codecs', partitions: [{ partition: 0, offset: '7' }] }] })
        await t[end]()
      }
    })
    same('committed', (await readFrom('txn', 0, 20)).map(m => String(m.value)), Array(20).fill('commit'))
    same('all', (await readFrom('txn', 0, 30, { readUncommitted: true })).length, 30)
    same('committed in the transaction', (await admin.fetchOffsets({ groupId: 't-group', topics: ['codecs'] }))[0].partitions[0].offset, '7')
  })
  await admin.disconnect()
  done()
}

main()
