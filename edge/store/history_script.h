/* history_script.h -- what writes usher:history:, run by edges and by the verbs that write records. */
#ifndef STORE_HISTORY_SCRIPT_H
#define STORE_HISTORY_SCRIPT_H

/* For EVAL: records a change, unless somebody has. KEYS: the stream, the mark. ARGV: the state that
 * the record is in now (for types that are not kept as text), "1" to look into the stream when there
 * is no mark; then the entry's values: key, before_type, before, after_type, after, edge. Answers 1
 * when it has recorded, else 0. */
const char *history_script(void);

#endif
