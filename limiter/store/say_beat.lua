-- Says that a node is there, and gives the list of nodes.
-- KEYS[1] the hash of nodes, KEYS[2] the generation; ARGV node, session, holder,
-- logs (a JSON array), record (a JSON object), a random text, seconds that a node is live, seconds
-- to live.
-- Returns {0, the entry of the daemon that is in the way, its node}, or {1, the time in
-- microseconds, generation, node, entry, node, entry ...}.
-- A script, since of two daemons that claim one name or one log at once just one may have it, by
-- one clock: this one's.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local mine = {}
for _, log in ipairs(cjson.decode(ARGV[4])) do mine[log] = true end
local nodes = redis.call('HGETALL', KEYS[1])
for i = 1, #nodes, 2 do
  local known, entry = pcall(cjson.decode, nodes[i + 1])
  if not known or type(entry) ~= 'table' or type(entry.seen) ~= 'number' then
    redis.call('HDEL', KEYS[1], nodes[i])
  elseif now - entry.seen > 7 * 86400 or entry.seen - now > tonumber(ARGV[7]) then
    -- Long gone, or of a time to come: the clock was ahead once. Whoever is there says so again.
    redis.call('HDEL', KEYS[1], nodes[i])
  elseif now - entry.seen < tonumber(ARGV[7]) and entry.session ~= ARGV[2]
      and entry.holder ~= ARGV[3] then
    local taken = nodes[i] == ARGV[1]
    for _, log in ipairs(type(entry.logs) == 'table' and entry.logs or {}) do
      taken = taken or mine[tostring(log)]
    end
    if taken then return {0, nodes[i + 1], nodes[i]} end
  end
end
local entry = string.format('{"seen":%.6f,"session":%s,"holder":%s,"logs":%s,"record":%s}', now,
  cjson.encode(ARGV[2]), cjson.encode(ARGV[3]), ARGV[4], ARGV[5])
redis.call('HSET', KEYS[1], ARGV[1], entry)
redis.call('SET', KEYS[2], ARGV[6], 'NX')
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[8]) end
local answer = {1, clock[1] .. string.format('%06d', tonumber(clock[2])), redis.call('GET', KEYS[2])}
for _, text in ipairs(redis.call('HGETALL', KEYS[1])) do answer[#answer + 1] = text end
return answer
