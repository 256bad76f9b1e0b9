-- Takes out a case that is long over.
-- KEYS[1] the hash of cases; ARGV subject, rev.
-- Returns 1 if it is out, 0 if one with a greater rev is there.
-- A script, since a node may put a new case of the subject meanwhile.
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old and #old >= 9 and struct.unpack('<d', old) > tonumber(ARGV[2]) then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
