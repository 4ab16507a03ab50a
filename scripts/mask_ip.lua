-- mask_ip.lua - a transform: the network instead of the address, so that a log line names nobody.
--
--   steps:
--     - lua: scripts/mask_ip.lua
--     - lua: { script: scripts/mask_ip.lua, with: { field: source.ip, v4: 16, v6: 32 } }
--
-- IPv4 keeps 24 bits, IPv6 keeps 48. An event whose field is no address is rejected: it is neither let through
-- unmasked nor lost.
local field, v4, v6 = "client", 24, 48

function init(cfg)
  field = cfg.field or field
  v4, v6 = cfg.v4 or v4, cfg.v6 or v6
end

function each(e, m)
  -- the object that the field is in, and the field's name there
  local at, name = e, field
  for part, rest in field:gmatch("([^.]+)%.([^.]+)$") do
    at, name = e[part], rest
  end
  local ip = at ~= nil and at[name] or nil
  if ip ~= nil then
    at[name] = net.mask(ip, ip:contains(":") and v6 or v4)
  end
end
