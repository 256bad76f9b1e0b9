-- Puts a node's row unless a newer one is there, and gives all nodes' rows.
-- KEYS[1] the hash of rows; ARGV node, version, row, seconds to live.
-- Returns the hash as HGETALL does.
-- A script, since comparing and writing must be one step: a late copy of an older row, from a
-- connection that its node gave up, must not undo a newer one.
local old = redis.call('HGET', KEYS[1], ARGV[1])
if not old or #old < 8 or struct.unpack('<d', old) < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
return redis.call('HGETALL', KEYS[1])
