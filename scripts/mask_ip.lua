-- mask_ip.lua - keeps the network of a client's address: /24 of IPv4, /48 of IPv6. Host names stay as they are.
local function mask(client)
  if client:contains(":") then
    return net.mask(client, 48)
  end
  return net.mask(client, 24)
end

function each(e, m)
  if e.client then
    e.client = mask(e.client) or e.client
  end
end
