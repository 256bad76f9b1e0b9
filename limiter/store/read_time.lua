-- Tells the time.
-- KEYS[1] the hash of nodes, whose server's clock is that of the heartbeats too; no ARGV.
-- Returns the time in microseconds.
-- A script, since in a cluster a command without a key goes to no server in particular.
local clock = redis.call('TIME')
return clock[1] .. string.format('%06d', tonumber(clock[2]))
