-- Takes a node out of the list of nodes, if its entry is this session's.
-- KEYS[1] the hash of nodes; ARGV node, session.
-- Returns 1 if it was, else 0.
-- A script, since the name may have a new holder already.
local old = redis.call('HGET', KEYS[1], ARGV[1])
if not old then return 0 end
local known, entry = pcall(cjson.decode, old)
if not known or type(entry) ~= 'table' or entry.session ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
