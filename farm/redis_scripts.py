"""The ledger's atomic changes, in Lua: each runs whole inside Redis, or not at all.

States are passed as `|one|two|`, so the transition tables stay in `farm.contract.states` alone.
"""

from __future__ import annotations

# KEYS: job. ARGV: new state, states it may come from, then names and values.
MOVE_JOB = """
local state = redis.call('HGET', KEYS[1], 'state')
if not state or not string.find(ARGV[2], '|' .. state .. '|', 1, true) then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[1], unpack(ARGV, 3))
return 1
"""

# KEYS: job. ARGV: names and values.
CHANGE_JOB = """
if redis.call('HEXISTS', KEYS[1], 'state') == 0 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
"""

# KEYS: tasks, lease. ARGV: task, changes (JSON with the new state), states it may come from, token ('' = nobody's).
MOVE_TASK = """
if ARGV[4] == '' then
  if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
elseif redis.call('GET', KEYS[2]) ~= ARGV[4] then return 0 end
local raw = redis.call('HGET', KEYS[1], ARGV[1])
local record = raw and cjson.decode(raw) or {state = 'waiting'}
if not string.find(ARGV[3], '|' .. record.state .. '|', 1, true) then return 0 end
for name, value in pairs(cjson.decode(ARGV[2])) do record[name] = value end
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(record))
if ARGV[4] ~= '' then redis.call('DEL', KEYS[2]) end
return 1
"""

# KEYS: tasks, lease, job, fence. ARGV: task, attempt, worker, lease in ms, now, live job states.
CLAIM = """
local state = redis.call('HGET', KEYS[3], 'state')
if not state or not string.find(ARGV[6], '|' .. state .. '|', 1, true) then return false end
local raw = redis.call('HGET', KEYS[1], ARGV[1])
if not raw then return false end
local record = cjson.decode(raw)
if record.state ~= 'queued' and record.state ~= 'running' then return false end
if tonumber(ARGV[2]) ~= record.attempt then return false end
if redis.call('EXISTS', KEYS[2]) == 1 then return false end
local token = redis.call('INCR', KEYS[4]) .. ':' .. ARGV[3]
redis.call('SET', KEYS[2], token, 'PX', ARGV[4])
record.state = 'running'
record.since_s = tonumber(ARGV[5])
record.worker = ARGV[3]
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(record))
return token
"""

# KEYS: lease. ARGV: token, lease in ms.
RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
