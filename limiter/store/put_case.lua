-- Puts the case of a subject unless a better one is there, and tells the followers.
-- KEYS[1] the hash of cases, KEYS[2] their stream; ARGV subject, rev, manual (1 or 0), value,
-- seconds to live, the rev that the sender has seen (-1: it does not say), the least rev that is
-- none.
-- Returns {1, value}: written; {0, theirs}: one that the sender has not seen is there; of a sender
-- that does not say, one with a greater rev, or with the same one that is as much a person's
-- decision. A value that can be nobody's is replaced.
-- A script, since of two nodes that put at once just one must be told that it was first, and no
-- follower may miss what was written.
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old and #old >= 9 then
  local rev, manual = struct.unpack('<dB', old)
  local mine, seen = tonumber(ARGV[2]), tonumber(ARGV[6])
  if rev >= 0 and rev < tonumber(ARGV[7]) then
    if seen >= 0 and rev > seen then return {0, old} end
    if seen < 0 and (rev > mine or (rev == mine and manual >= tonumber(ARGV[3]))) then
      return {0, old}
    end
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[4])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', 'subject', ARGV[1], 'value', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('EXPIRE', KEYS[2], ARGV[5])
return {1, ARGV[4]}
