-- mask_ip.lua - a transform: the network instead of the address, so that a log line names nobody.
--
--   steps:
--     - lua: scripts/mask_ip.lua
--     - lua: { script: scripts/mask_ip.lua, with: { field: source.ip, v4: 16, v6: 32 } }
--
-- IPv4 keeps 24 bits, IPv6 keeps 48. An event whose field is no address is rejected: it is neither let through
-- unmasked nor lost.
local v4, v6 = 24, 48
local outer, name = {}, "client" -- the objects on the way to the field, and its name in the last of them

function init(cfg)
  v4, v6 = cfg.v4 or v4, cfg.v6 or v6
  if cfg.field then
    outer = str.split(cfg.field, ".")
    name = table.remove(outer)
  end
end

function each(e, m)
  local at = e
  for i = 1, #outer do
    at = at[outer[i]]
    if at == nil then
      return
    end
  end
  local ip = at[name]
  if ip ~= nil then
    at[name] = net.mask(ip, ip:contains(":") and v6 or v4)
  end
end
