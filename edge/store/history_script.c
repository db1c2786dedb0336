/* history_script.c -- one change is recorded once, whoever sees it: the mark holds what the record
 * became, for a minute. schema/functions/usher.lua does the same.
 *
 * Owns:    nothing.
 * Thread:  control (pure: any would do)
 * Used by: history.c, cli/record_write.c.
 * Not here: what is recorded (history.c).  */
#include "store/history_script.h"

const char *history_script(void)
{
    return "local state = ARGV[1]\n"
           "if ARGV[6] ~= 'bad' and ARGV[6] ~= 'large' then\n"
           "  state = ARGV[6] .. ':' .. redis.sha1hex(ARGV[7])\n"
           "end\n"
           "local mark = redis.call('GET', KEYS[2])\n"
           "if mark == state then return 0 end\n"
           "if not mark and ARGV[2] == '1' then\n"
           "  for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 50)) do\n"
           "    local f = {}\n"
           "    for i = 1, #entry[2], 2 do f[entry[2][i]] = entry[2][i + 1] end\n"
           "    if f.key == ARGV[3] then\n"
           "      if f.after_type == ARGV[6] and f.after == ARGV[7] then return 0 end\n"
           "      break\n"
           "    end\n"
           "  end\n"
           "end\n"
           "redis.call('SET', KEYS[2], state, 'PX', 60000)\n"
           "redis.call('XADD', KEYS[1], 'MAXLEN', '~', 1000, '*', 'key', ARGV[3], 'before_type', ARGV[4],\n"
           "  'before', ARGV[5], 'after_type', ARGV[6], 'after', ARGV[7], 'edge', ARGV[8])\n"
           "return 1\n";
}
