// said.js - what the clients for Node share: a step is one sentence, told as ok, not ok or skip.
class Skip extends Error {}
let failures = 0

async function step (name, run) {
  try {
    await run()
    console.log('ok ' + name)
  } catch (why) {
    if (why instanceof Skip) return console.log(`skip ${name}: ${why.message}`)
    failures++
    const inner = (why.errors || []).map(e => `\n${e.stack}`).join('')
    console.log(`not ok ${name}\n    ` + (why.stack + inner).replaceAll('\n', '\n    ').slice(0, 1500))
  }
}

function same (what, got, want) {
  const [g, w] = [JSON.stringify(got), JSON.stringify(want)]
  if (g !== w) throw new Error(`${what}: got ${g.slice(0, 300)}, want ${w.slice(0, 300)}`)
}

async function until (what, isTrue, seconds = 40) {
  for (const end = Date.now() + seconds * 1000; !(await isTrue());) {
    if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

const skip = why => { throw new Skip(why) }
const done = () => process.exit(failures ? 1 : 0)

module.exports = { EACH: 20, done, same, skip, step, until }
