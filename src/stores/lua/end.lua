-- Keeps when a session was ended, in place of what was read before, and tells everybody in the same step: whoever hears
-- its own heartbeat after that has heard of the end. Values may be sealed, so that only whoever read one can say whether
-- it is a later end.
-- KEYS[1]  the record
-- ARGV     channel, value, life ms, what to tell, the value that was read before: empty where there was none
-- returns  1 | 0 where there is another value by now
local channel, value, lifeMs, news, before = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if (redis.call('GET', KEYS[1]) or '') ~= before then return 0 end
redis.call('SET', KEYS[1], value, 'PX', lifeMs)
redis.pcall('PUBLISH', channel, news)
return 1
