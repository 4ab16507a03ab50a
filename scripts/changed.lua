-- changed.lua - a processor: lets an event through when a field differs from what its key had before.
--
--   steps:
--     - changed: { key: [host], fields: [state] }
--
-- It remembers the last `most` keys of its lane; beyond that the oldest are forgotten, and their next event passes.
local keys, fields, most = {}, {}, 0
local seen, order, first, last = {}, {}, 1, 0

local function text(e, paths)
  local all = {}
  for i = 1, #paths do
    all[i] = json.encode(e:get(paths[i]))
  end
  return table.concat(all, "\0")
end

return {
  abi = 1,
  kind = "processor",
  name = "changed",
  summary = "Let an event through only when it says something new about its key.",
  options = {
    key = { type = "fields", required = true, help = "What the event is about.", example = "[host]" },
    fields = { type = "fields", required = true, main = true, help = "What has to differ.", example = "[state]" },
    most = { type = "int", default = "10000", min = 1, max = 1000000, unit = "keys", help = "How many keys are remembered." },
  },

  open = function(cfg)
    keys, fields, most = cfg.key, cfg.fields, cfg.most
  end,

  each = function(e, m)
    local key, now = text(e, keys), text(e, fields)
    local was = seen[key]
    if was == now then
      return false
    end
    if was == nil then
      last = last + 1
      order[last] = key
      if last - first >= most then
        seen[order[first]], order[first] = nil, nil
        first = first + 1
      end
    end
    seen[key] = now
  end,
}
