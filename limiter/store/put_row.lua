-- Puts a node's row unless a newer one is there, and gives all nodes' rows.
-- KEYS[1] the hash of rows; ARGV node, version, row, seconds to live, the least version that is
-- none, the most rows.
-- Returns the hash as HGETALL does; of a hash of more rows than that the node's own alone, and one
-- more element.
-- A script, since comparing and writing must be one step: a late copy of an older row, from a
-- connection that its node gave up, must not undo a newer one. A version that can be nobody's
-- keeps nothing out.
local old = redis.call('HGET', KEYS[1], ARGV[1])
local newer = false
if old and #old >= 8 then
  local version = struct.unpack('<d', old)
  newer = version >= tonumber(ARGV[2]) and version < tonumber(ARGV[5])
end
if not newer then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
local rows = redis.call('HGETALL', KEYS[1])
if #rows > 2 * tonumber(ARGV[6]) then
  return {ARGV[1], redis.call('HGET', KEYS[1], ARGV[1]), ''}
end
return rows
