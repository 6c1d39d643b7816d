-- Reads a grant, drops its access token once expired, and extends the grant's life.
-- KEYS[1]  the grant's hash
-- returns  {} where there is none, else the row as in row.lua
local key = KEYS[1]
local row = view(key, clock())
if not row then return {} end

local state, ttl, stated = row[2], row[7], row[8]
local life = fields(key, 'life')
if state ~= 'revoked' and stated == '' and life and ttl < tonumber(life) / 2 then
  redis.call('PEXPIRE', key, life)
  row[7] = tonumber(life)
end
return row
