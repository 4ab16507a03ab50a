-- heartbeat.lua - a source: one event at every beat, numbered without a gap across restarts.
--
--   from: { heartbeat: { every: 10s } }
local every, name, last, n, due = 1000, "beat", 0, 0, 0

return {
  abi = 1,
  kind = "source",
  name = "heartbeat",
  summary = "One event at every beat, numbered across restarts.",
  poll = "100ms",
  options = {
    every = { type = "duration", default = "1s", min = "100ms", max = "1d", main = true, help = "Time between two events." },
    label = { type = "string", default = "beat", help = "Goes into the field `name` of each event." },
    count = { type = "int", default = "0", min = 0, max = 1000000000, help = "The source ends after so many; 0 never ends." },
  },

  open = function(cfg, positions)
    every, name, last = cfg.every, cfg.label, cfg.count
    n = tonumber(positions.heartbeat) or 0 -- what the last event said
  end,

  read = function()
    if last > 0 and n >= last then
      return false
    end
    local now = time.now()
    if now < due then
      return nil
    end
    due = now + every * 1000000
    n = n + 1
    return { { name = name, n = n, ts = time.format(now) } }, n
  end,
}
