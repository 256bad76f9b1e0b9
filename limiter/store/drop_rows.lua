-- Takes out the rows of all nodes but some, from a hash that has more rows than there can be nodes.
-- KEYS[1] the hash of rows; ARGV the nodes whose rows stay.
-- Returns how many are out.
-- A script, since no row that is put meanwhile may be lost, and the names need not travel.
local keep = {}
for _, node in ipairs(ARGV) do keep[node] = true end
local rows = redis.call('HGETALL', KEYS[1])
local out = 0
for i = 1, #rows, 2 do
  if not keep[rows[i]] then out = out + redis.call('HDEL', KEYS[1], rows[i]) end
end
return out
