-- tell.lua - a sink: events into millrace's own log, and a count of them by a field.
--
--   to: { tell: { level: warn, by: status } }
local say, by

return {
  abi = 1,
  kind = "sink",
  name = "tell",
  summary = "Write events into millrace's own log.",
  options = {
    level = { type = "enum", choices = { "debug", "info", "warn", "error" }, default = "info", main = true, help = "How loud." },
    by = { type = "field", help = "A field with a name to count by; an event without it is rejected.", example = "status" },
  },

  open = function(cfg)
    say, by = log[cfg.level], cfg.by
  end,

  write = function(b)
    for e, m in b:events() do
      local name = by and e:get(by)
      if by and name == nil then
        e:reject("no field '" .. by .. "' to count by")
      else
        say(e:raw())
        metric.count(by and "told_" .. tostring(name):lower():gsub("[^a-z0-9_]", "_") or "told")
      end
    end
  end,
}
