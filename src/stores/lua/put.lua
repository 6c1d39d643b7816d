-- Writes a login in place of whatever is there.
-- KEYS[1]  the grant's hash
-- ARGV     channel, version, grant, access ("" for none), access remaining ms ("" for no expiry), life ms, "1" where the provider stated it
-- returns  "written"
local key = KEYS[1]
local channel, version, grant, access, accessMs, life, stated = unpack(ARGV)
write(key, channel, version, grant, access, accessMs, life, stated)
return 'written'
