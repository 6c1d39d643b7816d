-- Keeps when a session was ended, in place of what is there, and tells everybody in the same step: whoever hears its own
-- heartbeat after that has heard of the end.
-- KEYS[1]  the record
-- ARGV     channel, value, life ms, what to tell
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.pcall('PUBLISH', ARGV[1], ARGV[4])
return 1
