-- Writes a login in place of the one version that its caller has read, or of whatever is there.
-- KEYS[1]  the grant's hash
-- ARGV     "1" to replace whatever is there, else the only version it may replace ("" for none; an empty key is written
--          all the same), channel, version, grant, access ("" for none), access remaining ms ("" for no expiry), life
--          ms, "1" where the provider stated it
-- returns  "written" | "already" (repeated: changes nothing) | "superseded"
local key = KEYS[1]
local anything, over, channel, version, grant, access, accessMs, life, stated = unpack(ARGV)
local v = redis.call('HGET', key, 'v')
if v == version then return 'already' end
if v and anything ~= '1' and v ~= over then return 'superseded' end
write(key, channel, version, grant, access, accessMs, life, stated)
return 'written'
