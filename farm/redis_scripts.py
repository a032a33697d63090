"""The ledger's atomic changes, in Lua: each runs whole inside Redis, or not at all.

States are passed as `|one|two|`, so the transition tables stay in `farm.contract.states` alone.

Where the answer to a script is lost, redis-py sends it again, and its second run finds what the first one changed. So
each call has a nonce, the same whenever it is sent, and what it changed keeps that: the second answers as the first.
"""

from __future__ import annotations

# KEYS: job. ARGV: new state, states it may come from, nonce, then names and values.
MOVE_JOB = """
if redis.call('HGET', KEYS[1], 'call') == ARGV[3] then return 1 end
local state = redis.call('HGET', KEYS[1], 'state')
if not state or not string.find(ARGV[2], '|' .. state .. '|', 1, true) then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'call', unpack(ARGV, 3))
return 1
"""

# KEYS: job. ARGV: names and values.
CREATE_JOB = """
if redis.call('HEXISTS', KEYS[1], 'state') == 1 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
"""

# KEYS: job. ARGV: names and values.
CHANGE_JOB = """
if redis.call('HEXISTS', KEYS[1], 'state') == 0 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
"""

# KEYS: tasks, lease, job. ARGV: task, changes (JSON with the new state), states it may come from,
# token ('' = nobody's), states of tasks in hand, nonce.
MOVE_TASK = """
local raw = redis.call('HGET', KEYS[1], ARGV[1])
local record = raw and cjson.decode(raw) or {state = 'waiting'}
if record.call == ARGV[6] then return 1 end
local held = redis.call('GET', KEYS[2])
if not held and record.state == 'running' and record.token == ARGV[4] then held = ARGV[4] end
if (held or '') ~= ARGV[4] then return 0 end
if not string.find(ARGV[3], '|' .. record.state .. '|', 1, true) then return 0 end
local before = string.find(ARGV[5], '|' .. record.state .. '|', 1, true)
for name, value in pairs(cjson.decode(ARGV[2])) do record[name] = value end
record.call = ARGV[6]
local after = string.find(ARGV[5], '|' .. record.state .. '|', 1, true)
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(record))
if (before == nil) ~= (after == nil) and redis.call('HEXISTS', KEYS[3], 'state') == 1 then
  redis.call('HINCRBY', KEYS[3], 'in_hand', after and 1 or -1)
end
if ARGV[4] ~= '' then redis.call('DEL', KEYS[2]) end
return 1
"""

# KEYS: job, tasks, frames, fence. ARGV: states in which a job has ended.
FORGET_TASKS = """
local state = redis.call('HGET', KEYS[1], 'state')
if not state or not string.find(ARGV[1], '|' .. state .. '|', 1, true) then return 0 end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
redis.call('HSET', KEYS[1], 'in_hand', 0)
return 1
"""

# KEYS: tasks, lease, job, fence, frames. ARGV: task, attempt, worker, lease in ms, now, live job states, nonce.
CLAIM = """
local own = ':' .. ARGV[3] .. ':' .. ARGV[7]
local held = redis.call('GET', KEYS[2])
if held then return string.sub(held, -#own) == own and held end
local state = redis.call('HGET', KEYS[3], 'state')
if not state or not string.find(ARGV[6], '|' .. state .. '|', 1, true) then return false end
local raw = redis.call('HGET', KEYS[1], ARGV[1])
if not raw then return false end
local record = cjson.decode(raw)
if record.state ~= 'queued' and record.state ~= 'running' then return false end
if tonumber(ARGV[2]) ~= record.attempt then return false end
local token = redis.call('INCR', KEYS[4]) .. own
redis.call('SET', KEYS[2], token, 'PX', ARGV[4])
record.state = 'running'
record.since_s = tonumber(ARGV[5])
record.began_s = record.since_s
record.began_frames = tonumber(redis.call('HGET', KEYS[5], ARGV[1]) or 0)
record.worker = ARGV[3]
record.token = token
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(record))
return token
"""

# KEYS: lease, tasks. ARGV: token, lease in ms, task. A lease that ran out is still its last holder's, as long as
# nobody else has taken the task or counted the attempt as lost: Redis may have been away.
RENEW = """
local held = redis.call('GET', KEYS[1])
if not held then
  local raw = redis.call('HGET', KEYS[2], ARGV[3])
  local record = raw and cjson.decode(raw) or {}
  if record.state == 'running' then held = record.token end
end
if held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
